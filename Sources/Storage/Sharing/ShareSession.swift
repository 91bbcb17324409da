public import Database
public import Model

/// One terminal that its owner shares, from the moment it is opened until it ends.
public struct ShareSession: Sendable, Equatable {
    /// The maximum number of sessions in one response. A person has few sessions.
    private static let listLimit = 500

    public let id: String
    public let organisationId: String
    public let hostUserId: String
    public let hostPublicKey: String
    public let sessionName: String?
    public let startedAt: Timestamp
    public let endedAt: Timestamp?
    /// When the plan ends the session. Nil if the plan does not limit it. The value is fixed at the start.
    public let endsAt: Timestamp?

    init(_ row: Row) throws {
        id = try row.text("id")
        organisationId = try row.text("organisation_id")
        hostUserId = try row.text("host_user_id")
        hostPublicKey = try row.text("host_public_key")
        sessionName = try row.optionalText("session_name")
        startedAt = try row.time("started_at")
        endedAt = try row.optionalTime("ended_at")
        endsAt = try row.optionalTime("ends_at")
    }

    /// Opens a session if the plan allows one more; check and insert are one transaction.
    /// - Throws: ``Refusal`` `.shareLimit`, and those of ``Caller/member(of:may:whileDeleted:in:)``; ``StorageError``.
    public static func start(
        host: Caller, publicKey: String, name: String?, now: Timestamp, in database: Transaction
    ) throws -> ShareSession {
        if let name, !name.isEmpty { try NameRule.check(name, "A session's name", characters: 1...128) }
        let member = try host.member(may: .sessionCreate, in: database)
        let scope = database.tenant(member.organisation.id)
        let allowance = host.allowance(in: member.organisation, database)
        if let (limit, plan) = allowance[.shares] {
            database.lock(.account(host.user.id))
            let active =
                try database.across(.perPerson).first(
                    "SELECT COUNT(*) AS active FROM share_sessions WHERE host_user_id = ? AND ended_at IS NULL",
                    host.user.id
                ) { try $0.integer("active") } ?? 0
            guard active < limit else {
                let advice = database.keysAndPlans.plans.advice(from: plan, for: .shares, whoUpgrades: "Upgrade to")
                let message = "Share limit reached (\(limit)). \(advice)"
                throw Refusal(.shareLimit, message, limit: limit, current: active, plan: plan)
            }
        }
        let endsAt = allowance[.sessionMinutes].map { now.advanced(bySeconds: Int64($0.value) * 60) }
        let started = try scope.first(
            """
            INSERT INTO share_sessions (id, organisation_id, host_user_id, host_public_key, session_name, started_at,
                ends_at, metered_until) VALUES (?, :organisation, ?, ?, ?, ?, ?, ?) RETURNING *
            """, Identifier.make(now: now), host.user.id, publicKey, name, now, endsAt, now, decode: ShareSession.init)
        guard let started else { throw StorageError(.failed, "the new share session was not returned") }
        try Audit.record(.sessionStarted, target: started.id, detail: name ?? "", by: host, now: now, in: scope)
        return started
    }

    /// An active session of the organisation.
    public static func active(id: String, in scope: TenantScope) throws -> ShareSession? {
        try scope.first(
            "SELECT * FROM share_sessions WHERE organisation_id = :organisation AND id = ? AND ended_at IS NULL", id,
            decode: ShareSession.init)
    }

    /// An active session, for a caller who found it by a secret.
    static func active(id: String, across database: CrossTenantScope) throws -> ShareSession? {
        try database.first(
            "SELECT * FROM share_sessions WHERE id = ? AND ended_at IS NULL", id, decode: ShareSession.init)
    }

    /// An active session that belongs to this user.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func owned(id: String, by userId: String, in scope: TenantScope) throws -> ShareSession {
        guard let session = try active(id: id, in: scope), session.hostUserId == userId else {
            throw Refusal(.notFound, "Session not found or not owned by you")
        }
        return session
    }

    /// Active sessions, newest first.
    /// - Parameter userId: nil for everybody's.
    public static func active(ownedBy userId: String?, in scope: TenantScope) throws -> [ShareSession] {
        try scope.rows(
            """
            SELECT * FROM share_sessions WHERE organisation_id = :organisation AND (host_user_id = ? OR ? IS NULL)
            AND ended_at IS NULL ORDER BY started_at DESC, id DESC LIMIT ?
            """, userId, userId, listLimit, decode: ShareSession.init)
    }

    /// Stores the host's seat, so that the host can return to it after a restart.
    public static func seatHost(
        id: String, peerId: String, resumeDigest: [UInt8], credentialId: String? = nil, now: Timestamp,
        in scope: TenantScope
    ) throws {
        try scope.run(
            """
            UPDATE share_sessions SET host_peer_id = ?, host_resume_digest = ?, host_credential_id = ?
            WHERE organisation_id = :organisation AND id = ?
            """, peerId, resumeDigest, credentialId, id)
        try UsageLedger.notePeers(now: now, in: scope)
    }

    /// Ends a session and closes its connections. Ending it twice changes nothing.
    /// - Returns: its organisation, if this call ended it.
    @discardableResult
    public static func end(
        id: String, reason: SessionEnd, now: Timestamp, in database: Transaction
    ) throws -> String? {
        let found = try database.across(.relay).first(
            "SELECT organisation_id, metered_until, ended_at FROM share_sessions WHERE id = ?", id
        ) {
            (try $0.text("organisation_id"), try $0.optionalTime("metered_until"), try $0.optionalTime("ended_at"))
        }
        guard let (organisation, meteredUntil, endedAt) = found else { return nil }
        let scope = database.tenant(organisation)
        guard endedAt == nil else { return nil }
        try UsageLedger.close(.sessionMinutes, from: meteredUntil, now: now, in: scope)
        // `.deleted` is recorded by its caller; the other reasons are recorded here.
        if reason == .hostGone || reason == .timeLimit || reason == .hostEnded {
            try Audit.record(
                .sessionEnded, target: id, detail: reason.rawValue, actor: .server, now: now, in: scope)
        }
        try scope.run(
            """
            UPDATE share_sessions SET ended_at = ?, end_reason = ? WHERE organisation_id = :organisation AND id = ?
            """, now, reason.rawValue, id)
        let seated = try scope.rows(
            "SELECT id FROM connections WHERE organisation_id = :organisation AND session_id = ? AND left_at IS NULL",
            id
        ) { try $0.text("id") }
        for seat in seated { try GuestSeat.leave(id: seat, now: now, in: database) }
        return organisation
    }
}

extension ShareSession {
    /// The number of sessions that an export reads at once.
    private static let historyPage = 1000

    /// All sessions of an organisation, including ended ones, oldest first.
    /// - Parameter after: the last id of the previous page, or empty.
    public static func history(after: String, in scope: TenantScope) throws -> [ShareSession] {
        try scope.rows(
            "SELECT * FROM share_sessions WHERE organisation_id = :organisation AND id > ? ORDER BY id LIMIT ?", after,
            historyPage, decode: ShareSession.init)
    }
}
