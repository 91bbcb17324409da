public import Database
import Model

extension User {
    /// Removes an account with its tokens, sessions and codes, and its personal organisation.
    /// - Throws: ``Refusal`` `.lastAdministrator`, `.lastOwner`; ``StorageError``.
    public func remove(in database: Transaction) throws {
        database.lock(.appliance)
        database.lock(.account(id))
        let orphan = try database.first(
            """
            SELECT organisations.name FROM memberships JOIN organisations ON organisations.id = organisation_id
            WHERE user_id = ? AND role = 'owner' AND personal_of IS NULL AND delete_after IS NULL AND NOT EXISTS (SELECT 1 FROM memberships AS other
                WHERE other.organisation_id = memberships.organisation_id AND other.role = 'owner' AND other.user_id <> ?)
            """, id, id
        ) { try $0.text("name") }
        if let orphan {
            throw Refusal(
                .lastOwner,
                "\(username) is the last owner of the organisation \(orphan); transfer or delete it first.")
        }
        // Also in other organisations: usage is recorded before the rows are deleted.
        let now = Timestamp.now()
        for feature in StorageFeature.all { try feature.endAccount(id, now, database) }
        try Revocation.add(.user(id), now: now, in: database)
        try database.run("DELETE FROM users WHERE id = ?", id)
        try database.tenant(id).run("DELETE FROM data_keys WHERE organisation_id = :organisation")
        try mustLeaveAnAdministrator(in: database)
    }
}
