public import Database
public import Model

/// A sign-in of a person on one browser or one machine.
public struct SignIn: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// A browser. A cookie holds the secret.
        case browser
        /// Short-lived access tokens, renewed with rotating refresh tokens.
        case client
        /// The desktop client already in use: one access token of seven days, without renewal.
        case desktop

        /// The lifetime without use, in seconds.
        public var lifetimeSeconds: Int64 {
            switch self {
            case .browser: 30 * 86_400
            case .client: 60 * 86_400
            case .desktop: 7 * 86_400
            }
        }
    }

    public enum EndReason: String, Sendable {
        case signedOut = "signed_out"
        case everywhere
        case passwordChanged = "password_changed"
        /// A refresh token was used twice: one of the two was stolen.
        case reused
        /// An administrator disabled the account.
        case disabled
    }

    public let id: String
    public let userId: String
    public let organisationId: String
    public let kind: Kind
    /// The client's description of itself, for people.
    public let client: String
    public let address: String
    /// Whether a second factor was used.
    public let isStrong: Bool
    public let createdAt: Timestamp
    public let lastSeenAt: Timestamp
    public let expiresAt: Timestamp

    /// The resolution of the last use, in seconds.
    private static let useResolution: Int64 = 60
    /// The maximum number of sign-ins of one account. If one more begins, the oldest ends.
    static let perUser = 100

    init(_ row: Row) throws {
        id = try row.text("id")
        userId = try row.text("user_id")
        organisationId = try row.text("organisation_id")
        kind = try row.word("kind")
        client = try row.text("client")
        address = try row.text("address")
        isStrong = try row.flag("strong")
        createdAt = try row.time("created_at")
        lastSeenAt = try row.time("last_seen_at")
        expiresAt = try row.time("expires_at")
    }

    /// Creates a sign-in in the account's own organisation.
    /// - Returns: the sign-in, and the secret of the browser's cookie or the first refresh token. The desktop client gets none.
    /// - Throws: ``StorageError``.
    public static func begin(
        user: User, kind: Kind, client: String, address: String, isStrong: Bool, now: Timestamp,
        in database: Transaction
    ) throws -> (SignIn, secret: String?) {
        let id = Identifier.make(now: now)
        let secret = kind == .desktop ? nil : RandomText.make(letters: 43)
        let made = try database.first(
            """
            INSERT INTO sign_ins (id, user_id, organisation_id, kind, client, address, digest, strong, created_at,
                last_seen_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *
            """, id, user.id, user.id, kind.rawValue, client, address,
            kind == .browser ? secret.map(Digest.of) : nil, isStrong, now, now,
            now.advanced(bySeconds: kind.lifetimeSeconds), decode: SignIn.init)
        guard let made else { throw StorageError(.failed, "the new sign-in was not returned") }
        if kind == .client, let secret { try addRefreshToken(secret, to: id, now: now, in: database) }
        for old in try list(userId: user.id, now: now, in: database).dropFirst(perUser) {
            try old.end(.signedOut, now: now, in: database)
        }
        return (made, secret)
    }

    /// The sign-in with this id if it has not ended or expired. Does not check the account; ``caller(claims:organisationId:address:in:)`` does.
    public static func find(id: String, now: Timestamp, in database: Transaction) throws -> SignIn? {
        try database.first(
            "SELECT * FROM sign_ins WHERE id = ? AND ended_at IS NULL AND expires_at > ?", id, now,
            decode: SignIn.init)
    }

    /// The sign-in for a browser's cookie.
    public static func find(
        cookie secret: String, now: Timestamp, in database: Transaction
    ) throws -> SignIn? {
        try database.first(
            "SELECT * FROM sign_ins WHERE digest = ? AND ended_at IS NULL AND expires_at > ?", Digest.of(secret), now,
            decode: SignIn.init)
    }

    /// The signed-in caller. If the membership no longer exists, the caller is in the account's own organisation, and a
    /// token for that organisation is no longer valid.
    public func caller(
        claims: Caller.Claims? = nil, organisationId: String? = nil, address: String, in database: Transaction
    ) throws -> Caller? {
        guard let user = try User.find(id: userId, in: database), user.disabledAt == nil else { return nil }
        let wanted = organisationId ?? self.organisationId
        let isMember = try Member.find(userId: userId, organisationId: wanted, in: database) != nil
        if organisationId != nil && !isMember { return nil }
        return Caller(
            user: user, organisationId: isMember ? wanted : userId, credential: .signIn(id),
            claims: isMember ? claims : nil, isStrong: isStrong, address: address)
    }

    public func needsMark(now: Timestamp) -> Bool { lastSeenAt <= now.advanced(bySeconds: -Self.useResolution) }

    /// Records a use, which extends the sign-in.
    public func markUsed(address: String, now: Timestamp, in database: Transaction) throws {
        // The desktop client's sign-in expires with its token.
        let end = kind == .desktop ? expiresAt : now.advanced(bySeconds: kind.lifetimeSeconds)
        try database.run(
            "UPDATE sign_ins SET last_seen_at = ?, address = ?, expires_at = ? WHERE id = ? AND ended_at IS NULL",
            now, address, end, id)
    }

    /// Switches to another organisation. The caller has checked the membership.
    public func switchTo(_ organisationId: String, in database: Transaction) throws {
        try database.run("UPDATE sign_ins SET organisation_id = ? WHERE id = ?", organisationId, id)
    }

    /// A second factor was used after the sign-in began.
    public func strengthen(in database: Transaction) throws {
        try database.run("UPDATE sign_ins SET strong = 1 WHERE id = ?", id)
    }

    /// Newest first.
    public static func list(userId: String, now: Timestamp, in database: Transaction) throws -> [SignIn] {
        try database.rows(
            """
            SELECT * FROM sign_ins WHERE user_id = ? AND ended_at IS NULL AND expires_at > ?
            ORDER BY created_at DESC, id DESC LIMIT ?
            """, userId, now, perUser + 1, decode: SignIn.init)
    }

    /// Ends the sign-in. Ending it twice changes nothing.
    public func end(_ reason: EndReason, now: Timestamp, in database: Transaction) throws {
        try database.run(
            "UPDATE sign_ins SET ended_at = ?, end_reason = ?, digest = NULL WHERE id = ? AND ended_at IS NULL", now,
            reason.rawValue, id)
        try Revocation.add(.credential(id), now: now, in: database)
    }

    /// Ends all sign-ins of an account, except the caller's.
    /// - Returns: the number of ended sign-ins.
    @discardableResult
    public static func endAll(
        userId: String, except kept: String?, _ reason: EndReason, now: Timestamp, in database: Transaction
    ) throws -> Int {
        let all = try list(userId: userId, now: now, in: database).filter { $0.id != kept }
        for one in all { try one.end(reason, now: now, in: database) }
        return all.count
    }

    /// Deletes sign-ins that ended or expired more than a month ago.
    public static func clearAway(now: Timestamp, in database: Transaction) throws {
        let month = now.advanced(bySeconds: -30 * 86_400)
        try database.run("DELETE FROM sign_ins WHERE ended_at < ? OR expires_at < ?", month, month)
    }

    // MARK: Refresh tokens

    /// How long a used refresh token is remembered, so that its second use is detected as theft, in seconds: a week. A
    /// client that refreshes every 15 minutes leaves 672 rows. Later uses are refused like those of any unknown token.
    static let reuseWindowSeconds: Int64 = 7 * 86_400

    public enum Refreshed: Sendable {
        /// The sign-in was extended, with its next refresh token.
        case renewed(SignIn, next: String)
        /// The token was used before: the sign-in was ended.
        case reused(SignIn)
        case unknown
    }

    /// Uses a refresh token and creates the next one.
    ///
    /// Returns an outcome instead of throwing: the end of the sign-in must be committed even if the caller is refused.
    /// - Throws: ``StorageError``.
    public static func refresh(_ secret: String, now: Timestamp, in database: Transaction) throws -> Refreshed {
        let found = try database.first(
            "SELECT sign_in_id, used_at FROM refresh_tokens WHERE digest = ?", Digest.of(secret)
        ) { (try $0.text("sign_in_id"), try $0.optionalTime("used_at")) }
        guard let (id, usedAt) = found, let signIn = try find(id: id, now: now, in: database) else { return .unknown }
        guard usedAt == nil else {
            try signIn.end(.reused, now: now, in: database)
            return .reused(signIn)
        }
        try database.run("UPDATE refresh_tokens SET used_at = ? WHERE digest = ?", now, Digest.of(secret))
        try database.run(
            "DELETE FROM refresh_tokens WHERE sign_in_id = ? AND used_at < ?", id,
            now.advanced(bySeconds: -reuseWindowSeconds))
        let next = RandomText.make(letters: 43)
        try addRefreshToken(next, to: id, now: now, in: database)
        return .renewed(signIn, next: next)
    }

    private static func addRefreshToken(
        _ secret: String, to id: String, now: Timestamp, in database: Transaction
    ) throws {
        try database.run(
            "INSERT INTO refresh_tokens (digest, sign_in_id, created_at) VALUES (?, ?, ?)", Digest.of(secret), id, now)
    }
}
