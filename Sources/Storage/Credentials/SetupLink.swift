public import Database
public import Model

/// The way in for the first administrator: a secret that works once, for a while.
public struct SetupLink: Sendable {
    /// Where the owner finds the link, in the state directory.
    public static let fileName = "setup-link"

    /// Long enough to walk to another machine, too short to be found in a log, in seconds.
    public static let lifetimeSeconds: Int64 = 30 * 60

    /// 256 random bits, as they stand in the link.
    public let secret: String
    public let expiresAt: Timestamp

    /// Makes a link; links made before stop working.
    /// - Throws: ``Refusal`` `.setUp` when there is an administrator; ``StorageError``.
    public static func create(now: Timestamp, in database: Transaction) throws -> SetupLink {
        guard try !User.hasAdministrator(in: database) else { throw refusal }
        let link = SetupLink(
            secret: RandomText.make(letters: 43), expiresAt: now.advanced(bySeconds: lifetimeSeconds))
        try database.run("DELETE FROM setup_links")
        try database.run(
            "INSERT INTO setup_links (digest, expires_at) VALUES (?, ?)", Digest.of(link.secret), link.expiresAt)
        return link
    }

    /// A link that was made before and would work now.
    /// - Parameter secret: what its owner has kept.
    /// - Throws: ``StorageError``.
    public static func kept(_ secret: String, now: Timestamp, in database: Transaction) throws -> SetupLink? {
        guard try isGood(secret, now: now, in: database) else { return nil }
        return try database.first("SELECT expires_at FROM setup_links WHERE digest = ?", Digest.of(secret)) {
            SetupLink(secret: secret, expiresAt: try $0.time("expires_at"))
        }
    }

    /// Whether the secret would work now.
    public static func isGood(_ secret: String, now: Timestamp, in database: Transaction) throws -> Bool {
        let found = try database.first(
            "SELECT 1 AS found FROM setup_links WHERE digest = ? AND used_at IS NULL AND expires_at > ?",
            Digest.of(secret), now
        ) { try $0.integer("found") }
        return try found != nil && !User.hasAdministrator(in: database)
    }

    /// Uses the link up and makes the first administrator with a token, in one transaction.
    /// - Parameter passwordHash: nil makes an account without a password.
    /// - Throws: ``Refusal`` `.setUp`, `.nameTaken`; ``StorageError``.
    public static func use(
        _ secret: String, username: String, passwordHash: String? = nil, now: Timestamp, in database: Transaction
    ) throws -> (User, APIToken) {
        database.lock(.appliance)
        guard try isGood(secret, now: now, in: database) else { throw refusal }
        try database.run("UPDATE setup_links SET used_at = ? WHERE digest = ?", now, Digest.of(secret))
        let user = try User.create(username: username, plan: .admin, isAdmin: true, now: now, in: database)
        if let passwordHash { try Password.store(passwordHash, userId: user.id, now: now, in: database) }
        return (user, try APIToken.create(name: "setup", userId: user.id, now: now, in: database))
    }

    private static var refusal: Refusal {
        Refusal(
            .setUp,
            "This link does not work any more, or the server is set up already; 'postern setup' on the server says which."
        )
    }
}
