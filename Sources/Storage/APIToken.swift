import Crypto

/// A long-lived credential of a user. The database holds its SHA-256 only; the token itself is shown once.
public struct APIToken: Sendable {
    /// Says what a string is when it turns up in a log or a repository.
    public static let prefix = "pst_"
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)

    /// The token as its owner keeps it.
    public let secret: String

    /// Makes a token for a user and stores its digest.
    /// - Throws: ``StorageError``.
    public static func create(
        name: String, userId: String, now: Timestamp, in database: SQLiteConnection
    ) throws -> APIToken {
        var generator = SystemRandomNumberGenerator()
        // 43 of 62 letters hold 256 bits (guessing is hopeless, so a fast hash at rest is enough), without a character that a shell or a URL would mind.
        let letters = (0..<43).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
        let secret = prefix + String(decoding: letters, as: UTF8.self)
        try database.run(
            "INSERT INTO api_tokens (id, user_id, name, digest, created_at) VALUES (?, ?, ?, ?, ?)",
            Identifier.make(now: now), userId, name, digest(secret), now)
        return APIToken(secret: secret)
    }

    /// The user a token belongs to, or nil when it is unknown or revoked.
    public static func owner(of secret: String, in database: SQLiteConnection) throws -> User? {
        try database.first(
            """
            SELECT users.* FROM api_tokens JOIN users ON users.id = api_tokens.user_id
            WHERE api_tokens.digest = ? AND api_tokens.revoked_at IS NULL
            """, digest(secret), decode: User.init)
    }

    private static func digest(_ secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }
}
