public import Database
public import Model

/// A short code that admits guests to a share session.
public struct ShareCode: Sendable, Equatable {
    public let code: String
    public let sessionId: String
    public let permission: Permission
    public let maxUses: Int?
    public let currentUses: Int
    public let expiresAt: Timestamp?
    public let revokedAt: Timestamp?
    public let createdAt: Timestamp

    init(_ row: Row) throws {
        code = try row.text("code")
        sessionId = try row.text("session_id")
        permission = try row.word("permission")
        maxUses = try row.optionalInteger("max_uses")
        currentUses = try row.integer("current_uses")
        expiresAt = try row.optionalTime("expires_at")
        revokedAt = try row.optionalTime("revoked_at")
        createdAt = try row.time("created_at")
    }

    /// The owner's options for a new code.
    public struct Request: Sendable {
        public let permission: Permission
        public let maxUses: Int?
        /// Nil or 0: as long as the plan allows.
        public let expiresInMinutes: Int?

        public init(permission: Permission, maxUses: Int?, expiresInMinutes: Int?) {
            self.permission = permission
            self.maxUses = maxUses
            self.expiresInMinutes = expiresInMinutes
        }
    }

    /// Creates a code for a session that belongs to `owner`, within the plan.
    /// - Parameter candidates: random codes to try in turn. The first free one is used.
    /// - Throws: ``Refusal`` `.notFound`, `.codeLimit`, `.codeDuration`; ``StorageError``.
    public static func create(
        _ request: Request, sessionId: String, owner: Caller, candidates: [String], now: Timestamp,
        in database: Transaction
    ) throws -> ShareCode {
        let member = try owner.member(may: .sessionCreate, in: database)
        let scope = database.tenant(member.organisation.id)
        let session = try ShareSession.owned(id: sessionId, by: owner.user.id, in: scope)
        let allowance = owner.allowance(in: member.organisation, database)
        try checkCount(session: session, allowance, now: now, in: scope)
        let minutes = try lifetime(asked: request.expiresInMinutes, allowance)
        let expiresAt = minutes.map { now.advanced(bySeconds: Int64($0) * 60) }
        for candidate in candidates {
            let created = try scope.first(
                """
                INSERT INTO share_codes (code, organisation_id, session_id, permission, max_uses, current_uses,
                    expires_at, created_at) VALUES (?, :organisation, ?, ?, ?, 0, ?, ?)
                ON CONFLICT (code) DO NOTHING RETURNING *
                """, candidate, session.id, request.permission.rawValue, request.maxUses, expiresAt, now,
                decode: ShareCode.init)
            guard let created else { continue }
            try Audit.record(
                .codeCreated, target: session.id, detail: request.permission.rawValue, by: owner, now: now, in: scope)
            return created
        }
        throw StorageError(.failed, "no free share code among \(candidates.count) random ones; try again")
    }

    /// Revokes a code of a session that belongs to this caller: nobody can join with it any more. Other people's codes
    /// and unknown codes are not changed.
    public static func revoke(code: String, by owner: Caller, now: Timestamp, in scope: TenantScope) throws {
        let session = try scope.first(
            """
            UPDATE share_codes SET revoked_at = ? WHERE organisation_id = :organisation AND code = ? AND revoked_at IS NULL
            AND session_id IN (SELECT id FROM share_sessions WHERE organisation_id = :organisation AND host_user_id = ?)
            RETURNING session_id
            """, now, code, owner.user.id
        ) { try $0.text("session_id") }
        if let session { return try Audit.record(.codeRevoked, target: session, by: owner, now: now, in: scope) }
        // Revoking twice changes nothing. Another person's code is treated like one that does not exist.
        let isOwn = try scope.first(
            """
            SELECT 1 AS found FROM share_codes WHERE organisation_id = :organisation AND code = ?
            AND session_id IN (SELECT id FROM share_sessions WHERE organisation_id = :organisation AND host_user_id = ?)
            """, code, owner.user.id
        ) { try $0.integer("found") }
        if isOwn == nil { throw Refusal(.notFound, "Code not found") }
    }

    /// A session's codes that are not revoked, oldest first.
    public static func list(sessionId: String, in scope: TenantScope) throws -> [ShareCode] {
        try scope.rows(
            """
            SELECT * FROM share_codes WHERE organisation_id = :organisation AND session_id = ? AND revoked_at IS NULL
            ORDER BY created_at, code LIMIT ?
            """, sessionId, listLimit, decode: ShareCode.init)
    }

    /// All codes that an organisation ever had, oldest first.
    /// - Parameter after: the last time and code of the previous page.
    public static func history(
        after: (createdAt: Timestamp, code: String), in scope: TenantScope
    ) throws -> [ShareCode] {
        try scope.rows(
            """
            SELECT * FROM share_codes WHERE organisation_id = :organisation AND (created_at, code) > (?, ?)
            ORDER BY created_at, code LIMIT ?
            """, after.createdAt, after.code, listLimit, decode: ShareCode.init)
    }

    /// The maximum number of codes in one response, for plans without a limit.
    private static let listLimit = 1000

    private static func checkCount(
        session: ShareSession, _ allowance: Allowance, now: Timestamp, in scope: TenantScope
    ) throws {
        guard let (limit, plan) = allowance[.codes] else { return }
        scope.lock()
        let live =
            try scope.first(
                """
                SELECT COUNT(*) AS live FROM share_codes
                WHERE organisation_id = :organisation AND session_id = ? AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > ?) AND (max_uses IS NULL OR current_uses < max_uses)
                """, session.id, now
            ) { try $0.integer("live") } ?? 0
        guard live < limit else {
            let advice = scope.transaction.keysAndPlans.plans.advice(from: plan, for: .codes, whoUpgrades: "Upgrade to")
            throw Refusal(
                .codeLimit, "Code limit reached (\(limit)). \(advice)", limit: limit, current: live, plan: plan)
        }
    }

    private static func lifetime(asked: Int?, _ allowance: Allowance) throws -> Int? {
        let asked = asked == 0 ? nil : asked
        guard let (limit, plan) = allowance[.codeMinutes] else { return asked }
        guard let asked else { return limit }
        guard asked <= limit else {
            throw Refusal(
                .codeDuration, "Max duration is \(limit) minutes on \(plan.rawValue) tier.",
                limit: limit, current: asked, plan: plan)
        }
        return asked
    }
}
