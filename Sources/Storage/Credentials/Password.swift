public import Database
public import Model

/// An account's password, as its hash in the PHC string format. Hashes are created and verified elsewhere.
public enum Password {
    /// Nil for accounts that only sign in in other ways.
    public static func hash(userId: String, in database: Transaction) throws -> String? {
        try database.first("SELECT hash FROM passwords WHERE user_id = ?", userId) { try $0.text("hash") }
    }

    /// Sets a password and ends all other sign-ins.
    /// - Parameter kept: the sign-in of the caller.
    public static func set(
        hash: String, userId: String, keeping kept: String?, now: Timestamp, in database: Transaction
    ) throws {
        try store(hash, userId: userId, now: now, in: database)
        try SignIn.endAll(userId: userId, except: kept, .passwordChanged, now: now, in: database)
        // A link that was requested by somebody else must not change the address afterwards either.
        for purpose in [OneTimeLink.Purpose.resetPassword, .verifyEmail] {
            try OneTimeLink.cancelAll(purpose, userId: userId, now: now, in: database)
        }
    }

    /// Stores a hash and ends no sign-ins: for a first password, or for the same password with new parameters.
    public static func store(
        _ hash: String, userId: String, now: Timestamp, in database: Transaction
    ) throws {
        try database.run(
            """
            INSERT INTO passwords (user_id, hash, changed_at) VALUES (?, ?, ?)
            ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at
            """, userId, hash, now)
    }
}
