public import Database
public import Model

/// An account.
public struct User: Sendable, Equatable {
    public let id: String
    public let username: String
    /// In lower case.
    public let email: String?
    /// When somebody showed that mail to the address reaches him.
    public let emailVerifiedAt: Timestamp?
    /// Administers this server.
    public let isAdmin: Bool
    /// From then on nothing of the account works.
    public let disabledAt: Timestamp?
    public let createdAt: Timestamp

    init(_ row: Row) throws {
        id = try row.text("id")
        username = try row.text("username")
        email = try row.optionalText("email")
        emailVerifiedAt = try row.optionalTime("email_verified_at")
        isAdmin = try row.flag("is_admin")
        disabledAt = try row.optionalTime("disabled_at")
        createdAt = try row.time("created_at")
    }

    /// Makes an account with its personal organisation.
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
            of: created, plan: plan ?? database.surroundings.plans.standard, now: now, in: database)
        return created
    }

    /// Whether an account has this name, in any case: Admin beside admin would be taken for the same person.
    static func isTaken(_ username: String, in database: Transaction) throws -> Bool {
        try database.first("SELECT 1 AS found FROM users WHERE username = ? COLLATE NOCASE LIMIT 1", username) {
            try $0.integer("found")
        } != nil
    }

    private static func taken(_ username: String) -> Refusal {
        Refusal(.nameTaken, "There is already a user named \(username); choose another name.")
    }

    public static func find(id: String, in database: Transaction) throws -> User? {
        try database.first("SELECT * FROM users WHERE id = ?", id, decode: User.init)
    }

    public static func find(username: String, in database: Transaction) throws -> User? {
        try database.first("SELECT * FROM users WHERE username = ?", username, decode: User.init)
    }

    /// The account that has proved this address.
    public static func find(verifiedEmail: String, in database: Transaction) throws -> User? {
        try database.first(
            "SELECT * FROM users WHERE email = ? AND email_verified_at IS NOT NULL", verifiedEmail.lowercased(),
            decode: User.init)
    }

    /// By name, or by an address that was proved: what people type when they sign in.
    public static func find(login: String, in database: Transaction) throws -> User? {
        login.contains("@")
            ? try find(verifiedEmail: login, in: database) : try find(username: login, in: database)
    }

    /// Whether anybody administers this server.
    public static func hasAdministrator(in database: Transaction) throws -> Bool {
        let found = try database.first(
            "SELECT 1 AS found FROM users WHERE is_admin = 1 AND disabled_at IS NULL LIMIT 1"
        ) { try $0.integer("found") }
        return found != nil
    }

    /// More are not told of an alert.
    private static let administratorsTold = 20

    /// Those who administer this server, by name.
    public static func administrators(in database: Transaction) throws -> [User] {
        try database.rows(
            "SELECT * FROM users WHERE is_admin = 1 AND disabled_at IS NULL ORDER BY username LIMIT ?",
            administratorsTold, decode: User.init)
    }

    /// By name.
    /// - Parameter after: the last name of the page before, or empty.
    public static func list(after: String, limit: Int, in database: Transaction) throws -> [User] {
        try database.rows(
            "SELECT * FROM users WHERE username > ? ORDER BY username LIMIT ?", after, limit, decode: User.init)
    }

    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func named(_ username: String, in database: Transaction) throws -> User {
        if let user = try find(username: username, in: database) { return user }
        throw Refusal(.notFound, "There is no user named \(username); 'postern user list' shows all.")
    }

    /// The account's own organisation.
    /// - Throws: ``StorageError``.
    public func personalOrganisation(in database: Transaction) throws -> Organisation {
        if let found = try Organisation.find(id: id, in: database) { return found }
        throw StorageError(.corrupt, "the account \(username) has no organisation")
    }

    /// Sets the address; a new one counts only when it has been proved.
    public func setEmail(_ email: String?, verifiedAt: Timestamp?, in database: Transaction) throws {
        if let email, verifiedAt != nil, let other = try User.find(verifiedEmail: email, in: database), other.id != id {
            throw Refusal(.nameTaken, "Another account has the address \(email).")
        }
        // Links in the old mailbox are worth nothing any more.
        if verifiedAt != nil { try OneTimeLink.cancelAll(.resetPassword, userId: id, now: .now(), in: database) }
        try database.run(
            "UPDATE users SET email = ?, email_verified_at = ? WHERE id = ?", email?.lowercased(), verifiedAt, id)
    }

    /// Puts the account out of use: its sign-ins end, its tokens are refused, its connections are cut. Nothing is lost.
    /// - Throws: ``Refusal`` `.lastAdministrator`; ``StorageError``.
    public func disable(now: Timestamp, in database: Transaction) throws {
        try database.run("UPDATE users SET disabled_at = ? WHERE id = ? AND disabled_at IS NULL", now, id)
        try SignIn.endAll(userId: id, except: nil, .disabled, now: now, in: database)
        try Revocation.add(.user(id), now: now, in: database)
        try mustLeaveAnAdministrator(in: database)
    }

    /// Takes ``disable(now:in:)`` back. Sign-ins stay ended.
    public func enable(in database: Transaction) throws {
        try database.run("UPDATE users SET disabled_at = NULL WHERE id = ?", id)
        // A server that starts reads what is revoked from the beginning.
        try Revocation.takeBack(userId: id, in: database)
    }

    private func mustLeaveAnAdministrator(in database: Transaction) throws {
        guard isAdmin, try !Self.hasAdministrator(in: database) else { return }
        throw Refusal(
            .lastAdministrator,
            "\(username) is the last administrator; make another one first with 'postern user add NAME --admin'.")
    }

    /// Removes an account with its tokens, sessions and codes, and its personal organisation.
    /// - Throws: ``Refusal`` `.lastAdministrator`, `.lastOwner`; ``StorageError``.
    public func remove(in database: Transaction) throws {
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
                "\(username) is the last owner of the organisation \(orphan); hand it on or delete it first.")
        }
        // Also in other people's organisations: what was used is written down before the rows go.
        let now = Timestamp.now()
        let sessions = try database.across(.upkeep).rows(
            "SELECT id FROM share_sessions WHERE host_user_id = ? AND ended_at IS NULL", id
        ) { try $0.text("id") }
        for session in sessions { try ShareSession.end(id: session, reason: .deleted, now: now, in: database) }
        let seats = try database.across(.upkeep).rows(
            "SELECT id FROM connections WHERE user_id = ? AND left_at IS NULL", id
        ) { try $0.text("id") }
        for seat in seats { try Connection.leave(id: seat, now: now, in: database) }
        try Revocation.add(.user(id), now: now, in: database)
        try database.run("DELETE FROM users WHERE id = ?", id)
        try database.tenant(id).run("DELETE FROM data_keys WHERE organisation_id = :organisation")
        try mustLeaveAnAdministrator(in: database)
    }
}
