public import Database
public import Model

extension Migration {
    /// One list of all kinds of credentials. ``Caller/Credential/isGood(now:in:)`` contains the rule for their validity.
    static let credentialsView = Migration(
        number: 4,
        script: """
            CREATE VIEW credentials AS
                SELECT id, user_id, expires_at AS good_until FROM sign_ins WHERE ended_at IS NULL
                UNION ALL SELECT id, user_id, expires_at AS good_until FROM api_tokens WHERE revoked_at IS NULL;
            """)
}

extension Caller.Credential {
    /// Whether it is neither revoked nor expired. The command line is always valid.
    /// - Throws: ``StorageError``.
    public func isGood(now: Timestamp, in database: Transaction) throws -> Bool {
        guard let id else { return true }
        if case .machine = self {
            return try database.across(.secretLeadsToTenant).first(
                "SELECT 1 AS found FROM machines WHERE id = ? AND revoked_at IS NULL", id
            ) { try $0.integer("found") } != nil
        }
        let found = try database.first(
            "SELECT 1 AS found FROM credentials WHERE id = ? AND (good_until IS NULL OR good_until > ?)", id, now
        ) { try $0.integer("found") }
        return found != nil
    }

    /// The spelling in an access token (`cred`): `s:` or `t:` and the id. Empty for the other kinds, from which no
    /// access token is created.
    public var claim: String {
        switch self {
        case .signIn(let id): "s:\(id)"
        case .apiToken(let id): "t:\(id)"
        case .machine, .command: ""
        }
    }

    /// - Returns: nil for a claim of an older version, which named no credential and cannot be revoked.
    public init?(claim: String) {
        let id = String(claim.dropFirst(2))
        switch claim.prefix(2) {
        case "s:": self = .signIn(id)
        case "t:": self = .apiToken(id)
        default: return nil
        }
    }
}
