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
}
