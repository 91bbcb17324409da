public import Database
public import Model

/// Somebody who signed in, on one browser or one machine, until it ends.
public struct SignIn: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// A cookie holds the secret.
        case browser
        /// Short access tokens, renewed with rotating refresh tokens.
        case client
        /// The desktop client in the field: one access token of seven days, and nothing to renew it with.
        case desktop

        /// How long it lasts without being used, in seconds.
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
        /// A refresh token came twice: one of the two was stolen.
        case reused
        /// An administrator put the account out of use.
        case disabled
    }

    public let id: String
    public let userId: String
    public let organisationId: String
    public let kind: Kind
    /// What the client says it is, as far as a person needs it.
    public let client: String
    public let address: String
    /// A second factor was shown.
    public let isStrong: Bool
    public let createdAt: Timestamp
    public let lastSeenAt: Timestamp
    public let expiresAt: Timestamp

    /// How exactly the last use is written down, in seconds.
    private static let useResolution: Int64 = 60
    /// Sign-ins at once of one account: the oldest ends when one more begins.
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

    /// Begins a sign-in in the account's own organisation.
    /// - Returns: it, and the secret of the browser's cookie or the first refresh token; none for the desktop client.
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

    /// The sign-in of a browser's cookie.
    public static func find(
        cookie secret: String, now: Timestamp, in database: Transaction
    ) throws -> SignIn? {
        try database.first(
            "SELECT * FROM sign_ins WHERE digest = ? AND ended_at IS NULL AND expires_at > ?", Digest.of(secret), now,
            decode: SignIn.init)
    }

    /// The one who signed in. A membership that is gone leads back to the account's own organisation; a token for that
    /// organisation is worth nothing any more.
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

    /// Used again: lasts longer.
    public func markUsed(address: String, now: Timestamp, in database: Transaction) throws {
        // The desktop client's token ends when it ends.
        let end = kind == .desktop ? expiresAt : now.advanced(bySeconds: kind.lifetimeSeconds)
        try database.run(
            "UPDATE sign_ins SET last_seen_at = ?, address = ?, expires_at = ? WHERE id = ? AND ended_at IS NULL",
            now, address, end, id)
    }

    /// Goes on in another organisation. The caller has checked the membership.
    public func switchTo(_ organisationId: String, in database: Transaction) throws {
        try database.run("UPDATE sign_ins SET organisation_id = ? WHERE id = ?", organisationId, id)
    }

    /// A second factor was shown after the sign-in began.
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

    /// Ending twice changes nothing.
    public func end(_ reason: EndReason, now: Timestamp, in database: Transaction) throws {
        try database.run(
            "UPDATE sign_ins SET ended_at = ?, end_reason = ?, digest = NULL WHERE id = ? AND ended_at IS NULL", now,
            reason.rawValue, id)
        try Revocation.add(.credential(id), now: now, in: database)
    }

    /// Ends all of an account's, but for the one that asks.
    /// - Returns: how many.
    @discardableResult
    public static func endAll(
        userId: String, except kept: String?, _ reason: EndReason, now: Timestamp, in database: Transaction
    ) throws -> Int {
        let all = try list(userId: userId, now: now, in: database).filter { $0.id != kept }
        for one in all { try one.end(reason, now: now, in: database) }
        return all.count
    }

    /// Forgets sign-ins that ended or expired more than a month ago.
    public static func clearAway(now: Timestamp, in database: Transaction) throws {
        let month = now.advanced(bySeconds: -30 * 86_400)
        try database.run("DELETE FROM sign_ins WHERE ended_at < ? OR expires_at < ?", month, month)
    }

    // MARK: Refresh tokens

    /// How long a used refresh token is remembered, so that its second use is recognised as theft, in seconds: a week. A client that
    /// refreshes every 15 minutes leaves 672 rows. Later uses are refused like those of any unknown token.
    static let reuseWindowSeconds: Int64 = 7 * 86_400

    public enum Refreshed: Sendable {
        /// The sign-in goes on; this is its next refresh token.
        case renewed(SignIn, next: String)
        /// The token was used before: the sign-in has been ended.
        case reused(SignIn)
        case unknown
    }

    /// Uses a refresh token up and makes the next one.
    ///
    /// An outcome and not an error: ending the family must stay when the caller is told no.
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
