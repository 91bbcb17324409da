import Crypto

/// A long-lived credential of a user. The database holds its SHA-256 only; the token itself is shown once.
public struct APIToken: Sendable {
    /// Says what a string is when it turns up in a log or a repository.
    public static let prefix = "pst_"

    public let id: String
    /// The token as its owner keeps it.
    public let secret: String

    /// Makes a token for a user and stores its digest.
    /// - Throws: ``StorageError``.
    public static func create(
        name: String, userId: String, now: Timestamp, in database: SQLiteConnection
    ) throws -> APIToken {
        // 256 bits: guessing is hopeless, so that a fast hash at rest is enough.
        let secret = prefix + RandomText.make(letters: 43)
        let id = Identifier.make(now: now)
        try database.run(
            "INSERT INTO api_tokens (id, user_id, name, digest, created_at) VALUES (?, ?, ?, ?, ?)",
            id, userId, name, digest(secret), now)
        return APIToken(id: id, secret: secret)
    }

    /// The user a token belongs to, or nil when it is unknown or revoked.
    public static func owner(of secret: String, in database: SQLiteConnection) throws -> User? {
        try database.first(
            """
            SELECT users.* FROM api_tokens JOIN users ON users.id = api_tokens.user_id
            WHERE api_tokens.digest = ? AND api_tokens.revoked_at IS NULL
            """, digest(secret), decode: User.init)
    }

    /// A token as it can be shown later.
    public struct Listed: Sendable {
        public let id, name: String
        public let createdAt: Timestamp
        public let revokedAt: Timestamp?
    }

    /// A person has few tokens; this bounds what one answer may hold.
    private static let listLimit = 1000

    /// Newest first.
    public static func list(userId: String, in database: SQLiteConnection) throws -> [Listed] {
        try database.rows(
            "SELECT * FROM api_tokens WHERE user_id = ? ORDER BY id DESC LIMIT ?", userId, listLimit
        ) {
            Listed(
                id: try $0.text("id"), name: try $0.text("name"), createdAt: try $0.time("created_at"),
                revokedAt: try $0.optionalTime("revoked_at"))
        }
    }

    /// Revoking twice changes nothing.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func revoke(id: String, now: Timestamp, in database: SQLiteConnection) throws {
        let found = try database.run(
            "UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?", now, id)
        if found == 0 { throw Refusal(.notFound, "There is no token \(id); 'postern token list USER' shows them.") }
    }

    public static func revokeAll(userId: String, now: Timestamp, in database: SQLiteConnection) throws {
        try database.run("UPDATE api_tokens SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL", now, userId)
    }

    private static func digest(_ secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }
}
