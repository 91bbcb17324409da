public import Database
public import Model

/// An account.
public struct User: Sendable, Equatable {
    public let id: String
    public let username: String
    /// In lower case.
    public let email: String?
    /// When the address was verified by a link in a mail.
    public let emailVerifiedAt: Timestamp?
    /// Whether the account administers this server.
    public let isAdmin: Bool
    /// If set, the account cannot be used from this time on.
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

    /// Whether an account has this name, ignoring case: Admin and admin would be taken for the same person.
    static func isTaken(_ username: String, in database: Transaction) throws -> Bool {
        try database.first("SELECT 1 AS found FROM users WHERE username = ? COLLATE NOCASE LIMIT 1", username) {
            try $0.integer("found")
        } != nil
    }

    public static func find(id: String, in database: Transaction) throws -> User? {
        try database.first("SELECT * FROM users WHERE id = ?", id, decode: User.init)
    }

    /// Finds an account by name, ignoring case, as phones change the case of names. If an older version allowed two
    /// names that differ only in case, each is found by its exact spelling.
    public static func find(username: String, in database: Transaction) throws -> User? {
        try database.first(
            "SELECT * FROM users WHERE username = ? COLLATE NOCASE ORDER BY username = ? DESC LIMIT 1", username,
            username, decode: User.init)
    }

    /// Names from an older version that differ only in case.
    static func clashes(in database: Transaction) throws -> [String] {
        try database.rows(
            """
            SELECT group_concat(username, ' and ') AS names FROM users GROUP BY username COLLATE NOCASE
            HAVING COUNT(*) > 1 ORDER BY names LIMIT 100
            """
        ) { try $0.text("names") }
    }

    /// The account with this verified address.
    public static func find(verifiedEmail: String, in database: Transaction) throws -> User? {
        try database.first(
            "SELECT * FROM users WHERE email = ? AND email_verified_at IS NOT NULL", verifiedEmail.lowercased(),
            decode: User.init)
    }

    /// Finds an account by name or by a verified address: what people type when they sign in.
    public static func find(login: String, in database: Transaction) throws -> User? {
        login.contains("@")
            ? try find(verifiedEmail: login, in: database) : try find(username: login, in: database)
    }

    /// Whether this server has an administrator.
    public static func hasAdministrator(in database: Transaction) throws -> Bool {
        let found = try database.first(
            "SELECT 1 AS found FROM users WHERE is_admin = 1 AND disabled_at IS NULL LIMIT 1"
        ) { try $0.integer("found") }
        return found != nil
    }

    /// The maximum number of administrators that are notified of an alert.
    private static let administratorsTold = 20

    /// The administrators of this server, by name.
    public static func administrators(in database: Transaction) throws -> [User] {
        try database.rows(
            "SELECT * FROM users WHERE is_admin = 1 AND disabled_at IS NULL ORDER BY username LIMIT ?",
            administratorsTold, decode: User.init)
    }

    /// Accounts by name.
    /// - Parameter after: the last name of the previous page, or empty.
    public static func list(after: String, limit: Int, in database: Transaction) throws -> [User] {
        try database.rows(
            "SELECT * FROM users WHERE username > ? ORDER BY username LIMIT ?", after, limit, decode: User.init)
    }

    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func named(_ username: String, in database: Transaction) throws -> User {
        if let user = try find(username: username, in: database) { return user }
        throw Refusal(.notFound, "There is no user named \(username); 'postern user list' shows all.")
    }
}
