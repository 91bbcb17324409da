public import Database
public import Model

/// A secret in a link that performs one action for one account, once.
public enum OneTimeLink {
    public enum Purpose: String, Sendable {
        case resetPassword = "reset_password"
        case verifyEmail = "verify_email"

        /// The lifetime in seconds: long enough for slow mail.
        public var lifetimeSeconds: Int64 {
            switch self {
            case .resetPassword: 3600
            case .verifyEmail: 86_400
            }
        }
    }

    /// Creates a link. Earlier ones of the same purpose stop working.
    /// - Returns: its secret.
    public static func create(
        _ purpose: Purpose, userId: String, email: String? = nil, now: Timestamp, in database: Transaction
    ) throws -> String {
        try cancelAll(purpose, userId: userId, now: now, in: database)
        let secret = RandomText.make(letters: 43)
        try database.run(
            "INSERT INTO one_time_links (digest, purpose, user_id, email, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
            Digest.of(secret), purpose.rawValue, userId, email, now, now.advanced(bySeconds: purpose.lifetimeSeconds))
        return secret
    }

    /// The account and the address of a link that is still valid.
    /// - Throws: ``Refusal`` `.link`; ``StorageError``.
    public static func find(
        _ purpose: Purpose, secret: String, now: Timestamp, in database: Transaction
    ) throws -> (User, email: String?) {
        let found = try database.first(
            """
            SELECT user_id, email FROM one_time_links
            WHERE digest = ? AND purpose = ? AND used_at IS NULL AND expires_at > ?
            """, Digest.of(secret), purpose.rawValue, now
        ) { (try $0.text("user_id"), try $0.optionalText("email")) }
        guard let (id, email) = found, let user = try User.find(id: id, in: database), user.disabledAt == nil else {
            throw Refusal(.link, "This link was already used or has expired; ask for a new one.")
        }
        return (user, email)
    }

    /// Uses a link, which cannot be used again.
    /// - Throws: as ``find(_:secret:now:in:)``.
    public static func use(
        _ purpose: Purpose, secret: String, now: Timestamp, in database: Transaction
    ) throws -> (User, email: String?) {
        let found = try find(purpose, secret: secret, now: now, in: database)
        try database.run("UPDATE one_time_links SET used_at = ? WHERE digest = ?", now, Digest.of(secret))
        return found
    }

    /// Cancels all unused links, whatever their purpose.
    public static func cancelPending(userId: String, now: Timestamp, in database: Transaction) throws {
        for purpose in [Purpose.resetPassword, .verifyEmail] {
            try cancelAll(purpose, userId: userId, now: now, in: database)
        }
    }

    static func cancelAll(_ purpose: Purpose, userId: String, now: Timestamp, in database: Transaction) throws {
        try database.run(
            "UPDATE one_time_links SET used_at = ? WHERE user_id = ? AND purpose = ? AND used_at IS NULL", now, userId,
            purpose.rawValue)
        try database.run("DELETE FROM one_time_links WHERE expires_at < ?", now.advanced(bySeconds: -30 * 86_400))
    }
}
