/// An account.
public struct User: Sendable, Equatable {
    public let id: String
    public let username: String
    public let email: String?
    public let plan: Plan
    public let isAdmin: Bool
    public let createdAt: Timestamp

    /// What the API calls `tier`.
    public var tier: String { plan.rawValue }

    init(_ row: Row) throws {
        id = try row.text("id")
        username = try row.text("username")
        email = try row.optionalText("email")
        plan = try row.word("plan")
        isAdmin = try row.integer("is_admin") != 0
        createdAt = try row.time("created_at")
    }

    /// - Throws: ``Refusal`` `.nameTaken`; ``StorageError``.
    public static func create(
        username: String, plan: Plan, isAdmin: Bool, now: Timestamp, in database: SQLiteConnection
    ) throws -> User {
        let created = try database.first(
            """
            INSERT INTO users (id, username, plan, is_admin, created_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (username) DO NOTHING RETURNING *
            """, Identifier.make(now: now), username, plan.rawValue, isAdmin, now, decode: User.init)
        guard let created else {
            throw Refusal(.nameTaken, "There is already a user named \(username); choose another name.")
        }
        return created
    }

    public static func find(id: String, in database: SQLiteConnection) throws -> User? {
        try database.first("SELECT * FROM users WHERE id = ?", id, decode: User.init)
    }

    public static func find(username: String, in database: SQLiteConnection) throws -> User? {
        try database.first("SELECT * FROM users WHERE username = ?", username, decode: User.init)
    }

    /// Whether anybody administers this server.
    public static func hasAdministrator(in database: SQLiteConnection) throws -> Bool {
        try database.first("SELECT 1 AS found FROM users WHERE is_admin = 1 LIMIT 1") { try $0.integer("found") } != nil
    }

    /// By name.
    /// - Parameter after: the last name of the page before, or empty.
    public static func list(after: String, limit: Int, in database: SQLiteConnection) throws -> [User] {
        try database.rows(
            "SELECT * FROM users WHERE username > ? ORDER BY username LIMIT ?", after, limit, decode: User.init)
    }

    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func named(_ username: String, in database: SQLiteConnection) throws -> User {
        if let user = try find(username: username, in: database) { return user }
        throw Refusal(.notFound, "There is no user named \(username); 'postern user list' shows all.")
    }

    /// - Throws: ``StorageError``.
    public func setPlan(_ plan: Plan, in database: SQLiteConnection) throws {
        try database.run("UPDATE users SET plan = ? WHERE id = ?", plan.rawValue, id)
    }

    /// Removes an account with its tokens, sessions and codes.
    /// - Throws: ``Refusal`` `.lastAdministrator`; ``StorageError``.
    public func remove(in database: SQLiteConnection) throws {
        try database.run("DELETE FROM users WHERE id = ?", id)
        if isAdmin, try !Self.hasAdministrator(in: database) {
            throw Refusal(
                .lastAdministrator,
                "\(username) is the last administrator; make another one first with 'postern user add NAME --admin'.")
        }
    }
}
