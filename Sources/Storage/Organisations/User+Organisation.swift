public import Database
public import Model

extension User {
    /// Creates an account with its personal organisation.
    /// - Throws: ``Refusal`` `.nameTaken`; ``StorageError``.
    public static func create(
        username: String, email: String? = nil, plan: Plan? = nil, isAdmin: Bool = false, now: Timestamp,
        in database: Transaction
    ) throws -> User {
        guard try !isTaken(username, in: database) else { throw taken(username) }
        let created = try database.first(
            """
            INSERT INTO users (id, username, email, is_admin, created_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (username) DO NOTHING RETURNING *
            """, Identifier.make(now: now), username, email, isAdmin, now, decode: User.init)
        guard let created else { throw taken(username) }
        try Organisation.createPersonal(
            of: created, plan: plan ?? database.keysAndPlans.plans.standard, now: now, in: database)
        return created
    }

    private static func taken(_ username: String) -> Refusal {
        Refusal(.nameTaken, "There is already a user named \(username); choose another name.")
    }

    /// The account's own organisation.
    /// - Throws: ``StorageError``.
    public func personalOrganisation(in database: Transaction) throws -> Organisation {
        if let found = try Organisation.find(id: id, in: database) { return found }
        throw StorageError(.corrupt, "the account \(username) has no organisation")
    }
}
