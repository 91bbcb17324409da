public import Database
public import Model

/// The link for the first administrator: a secret that works once, for a limited time.
public struct SetupLink: Sendable {
    /// The name of the file in the state directory in which the owner finds the link.
    public static let fileName = "setup-link"

    /// The lifetime in seconds: long enough to walk to another machine, too short for the link to be found in a log.
    public static let lifetimeSeconds: Int64 = 30 * 60

    /// 256 random bits, as text in the link.
    public let secret: String
    public let expiresAt: Timestamp

    /// Creates a link. Earlier links stop working.
    /// - Throws: ``Refusal`` `.setUp` if there is an administrator; ``StorageError``.
    public static func create(now: Timestamp, in database: Transaction) throws -> SetupLink {
        guard try !User.hasAdministrator(in: database) else { throw refusal }
        let link = SetupLink(
            secret: RandomText.make(letters: 43), expiresAt: now.advanced(bySeconds: lifetimeSeconds))
        try database.run("DELETE FROM setup_links")
        try database.run(
            "INSERT INTO setup_links (digest, expires_at) VALUES (?, ?)", Digest.of(link.secret), link.expiresAt)
        return link
    }

    /// An earlier link that is still valid.
    /// - Parameter secret: the secret that its owner has kept.
    /// - Throws: ``StorageError``.
    public static func kept(_ secret: String, now: Timestamp, in database: Transaction) throws -> SetupLink? {
        guard try isGood(secret, now: now, in: database) else { return nil }
        return try database.first("SELECT expires_at FROM setup_links WHERE digest = ?", Digest.of(secret)) {
            SetupLink(secret: secret, expiresAt: try $0.time("expires_at"))
        }
    }

    /// Whether the secret is still valid.
    public static func isGood(_ secret: String, now: Timestamp, in database: Transaction) throws -> Bool {
        let found = try database.first(
            "SELECT 1 AS found FROM setup_links WHERE digest = ? AND used_at IS NULL AND expires_at > ?",
            Digest.of(secret), now
        ) { try $0.integer("found") }
        return try found != nil && !User.hasAdministrator(in: database)
    }

    /// Uses the link and creates the first administrator with a token, in one transaction.
    /// - Parameter passwordHash: nil creates an account without a password.
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
            "This link is no longer valid, or the server is already set up; run 'postern setup' on the server to find out."
        )
    }
}
