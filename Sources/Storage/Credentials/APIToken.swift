public import Database
public import Model

/// A long-lived credential of a person in one organisation. The database stores only its SHA-256. The token is shown once.
public struct APIToken: Sendable {
    /// Identifies a token that appears in a log or a repository.
    public static let prefix = "pst_"
    /// The maximum number of tokens in one response. A person has few tokens.
    private static let listLimit = 1000
    /// The resolution of the last use, in seconds: one write per request would be too many.
    private static let useResolution: Int64 = 60

    public let id: String
    /// The token's text, as its owner stores it.
    public let secret: String

    /// Creates a token and stores its digest.
    /// - Parameters:
    ///   - organisationId: nil for the account's own.
    ///   - scopes: nil for everything that its owner may do.
    ///   - isStrong: the creator has used a second factor, or owns the machine.
    /// - Throws: ``Refusal`` `.limit`, `.invalid`; ``StorageError``.
    public static func create(
        name: String, userId: String, organisationId: String? = nil, scopes: Set<PermissionKey>? = nil,
        expiresAt: Timestamp? = nil, isStrong: Bool = true, now: Timestamp, in database: Transaction
    ) throws -> APIToken {
        try NameRule.check(name, "A token's name")
        database.lock(.account(userId))
        let count =
            try database.first(
                "SELECT COUNT(*) AS found FROM api_tokens WHERE user_id = ? AND revoked_at IS NULL", userId
            ) { try $0.integer("found") } ?? 0
        guard count < listLimit else {
            throw Refusal(
                .limit, "One account has at most \(listLimit) tokens; revoke some first.", limit: listLimit,
                current: count)
        }
        // 256 random bits cannot be guessed, so a fast hash is enough.
        let secret = prefix + RandomText.make(letters: 43)
        let id = Identifier.make(now: now)
        try database.run(
            """
            INSERT INTO api_tokens (id, user_id, organisation_id, name, digest, scopes, expires_at, strong, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, id, userId, organisationId ?? userId, name, Digest.of(secret), scopes.map(PermissionKey.text),
            expiresAt, isStrong, now)
        return APIToken(id: id, secret: secret)
    }

    /// The caller for a token. Nil if the token is unknown, revoked or expired.
    public static func caller(
        of secret: String, address: String, now: Timestamp, in database: Transaction
    ) throws -> Caller? {
        let found = try database.first(
            """
            SELECT users.*, api_tokens.id AS token_id, api_tokens.organisation_id, api_tokens.scopes,
                api_tokens.strong AND EXISTS (SELECT 1 FROM second_factors WHERE second_factors.user_id = users.id
                    AND confirmed_at IS NOT NULL) AS strong
            FROM api_tokens JOIN users ON users.id = api_tokens.user_id
            WHERE api_tokens.digest = ? AND api_tokens.revoked_at IS NULL AND users.disabled_at IS NULL
            AND (api_tokens.expires_at IS NULL OR api_tokens.expires_at > ?)
            """, Digest.of(secret), now
        ) { row in
            Caller(
                user: try User(row), organisationId: try row.text("organisation_id"),
                credential: .apiToken(try row.text("token_id")),
                scopes: try row.optionalText("scopes").map(PermissionKey.parse), isStrong: try row.flag("strong"),
                address: address)
        }
        return found
    }

    /// Whether the time of a use must be stored.
    public static func needsMark(id: String, now: Timestamp, in database: Transaction) throws -> Bool {
        try database.first(
            "SELECT 1 AS found FROM api_tokens WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)", id,
            now.advanced(bySeconds: -useResolution)
        ) { try $0.integer("found") } != nil
    }

    public static func markUsed(id: String, now: Timestamp, in database: Transaction) throws {
        try database.run("UPDATE api_tokens SET last_used_at = ? WHERE id = ?", now, id)
    }

    /// A token without its secret.
    public struct Listed: Sendable {
        public let id, userId, name, organisationId: String
        /// Nil for everything that its owner may do.
        public let scopes: Set<PermissionKey>?
        public let createdAt: Timestamp
        public let expiresAt, lastUsedAt, revokedAt: Timestamp?

        init(_ row: Row) throws {
            id = try row.text("id")
            userId = try row.text("user_id")
            name = try row.text("name")
            organisationId = try row.text("organisation_id")
            scopes = try row.optionalText("scopes").map(PermissionKey.parse)
            createdAt = try row.time("created_at")
            expiresAt = try row.optionalTime("expires_at")
            lastUsedAt = try row.optionalTime("last_used_at")
            revokedAt = try row.optionalTime("revoked_at")
        }
    }

    /// Newest first.
    public static func list(userId: String, in database: Transaction) throws -> [Listed] {
        try database.rows(
            "SELECT * FROM api_tokens WHERE user_id = ? ORDER BY id DESC LIMIT ?", userId, listLimit,
            decode: Listed.init)
    }

    /// All tokens that people created for one organisation, oldest first.
    /// - Parameter after: the last id of the previous page, or empty.
    public static func list(after: String, in scope: TenantScope) throws -> [Listed] {
        try scope.rows(
            "SELECT * FROM api_tokens WHERE organisation_id = :organisation AND id > ? ORDER BY id LIMIT ?", after,
            listLimit, decode: Listed.init)
    }

    /// Revokes a token. Revoking it twice changes nothing.
    /// - Parameter owner: nil for any owner, as for the command line.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    /// - Returns: the owner's id.
    @discardableResult
    public static func revoke(
        id: String, owner: String? = nil, now: Timestamp, in database: Transaction
    ) throws -> String {
        let found = try database.first(
            """
            UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ? AND (user_id = ? OR ? IS NULL)
            RETURNING user_id
            """, now, id, owner, owner
        ) { try $0.text("user_id") }
        guard let found else {
            throw Refusal(.notFound, "There is no token \(id); 'postern token list USER' shows them.")
        }
        try Revocation.add(.credential(id), now: now, in: database)
        return found
    }

    public static func revokeAll(userId: String, now: Timestamp, in database: Transaction) throws {
        let ids = try database.rows(
            "UPDATE api_tokens SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL RETURNING id", now, userId
        ) { try $0.text("id") }
        for id in ids { try Revocation.add(.credential(id), now: now, in: database) }
    }
}
