import Crypto
public import Database
public import Model

/// A key that signs access tokens. It is stored sealed in the database, so that every process has the same keys after every restart.
public struct SigningKey: Sendable, Equatable {
    /// The age in seconds after which a new key is created: 30 days.
    public static let rotationSeconds: Int64 = 30 * 86_400
    /// How long an old key is still accepted, in seconds: the longest token (7 days) plus a day.
    public static let overlapSeconds: Int64 = 8 * 86_400

    /// The id in a token's header (`kid`).
    public let id: String
    public let secret: [UInt8]
    public let createdAt: Timestamp

    private static func place(_ id: String) -> Vault.Place {
        Vault.Place(table: "signing_keys", row: id, column: "secret")
    }

    /// Whether a new key should sign instead.
    public func isOld(now: Timestamp) -> Bool { createdAt < now.advanced(bySeconds: -Self.rotationSeconds) }

    private static func oldestBelieved(_ now: Timestamp) -> Timestamp {
        now.advanced(bySeconds: -(rotationSeconds + overlapSeconds))
    }

    /// The accepted keys. The first is the key that signs.
    /// - Throws: ``StorageError``.
    public static func valid(now: Timestamp, in database: Transaction) throws -> [SigningKey] {
        try list(in: database).filter { $0.createdAt >= oldestBelieved(now) }
    }

    /// Deletes expired keys. Creates a new key if there is none or if the newest is old.
    /// - Returns: the valid keys, newest first.
    /// - Throws: ``StorageError``.
    public static func rotateIfDue(now: Timestamp, in database: Transaction) throws -> [SigningKey] {
        try database.run("DELETE FROM signing_keys WHERE created_at < ?", oldestBelieved(now))
        if try list(in: database).first?.isOld(now: now) ?? true { _ = try add(now: now, in: database) }
        return try list(in: database)
    }

    /// Creates a new key. The older ones are accepted until their tokens have expired.
    public static func add(now: Timestamp, in database: Transaction) throws -> String {
        let id = Identifier.make(now: now)
        let sealed = try Vault.seal(KeyFile.random(), at: place(id), in: database.tenant(Vault.appliance))
        try database.run("INSERT INTO signing_keys (id, secret, created_at) VALUES (?, ?, ?)", id, sealed, now)
        return id
    }

    /// Newest first.
    public static func list(in database: Transaction) throws -> [SigningKey] {
        let stored = try database.rows("SELECT * FROM signing_keys ORDER BY created_at DESC, id DESC LIMIT 50") {
            (try $0.text("id"), try $0.blob("secret"), try $0.time("created_at"))
        }
        return try stored.map { id, sealed, createdAt in
            SigningKey(
                id: id, secret: try Vault.open(sealed, at: place(id), in: database.tenant(Vault.appliance)),
                createdAt: createdAt)
        }
    }

    /// Wraps all data keys with the newest master key. Returns the number of data keys.
    public static func rewrapAll(in database: Transaction) throws -> Int { try Vault.rewrap(in: database) }
}
