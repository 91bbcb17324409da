/// One terminal that its owner shares, from the moment it is opened until it ends.
public struct ShareSession: Sendable, Equatable {
    /// Why a session ended; `sessionEnded` on the wire carries the same word.
    public enum EndReason: String, Sendable {
        case hostEnded = "host_ended"
        case hostGone = "host_gone"
        case deleted = "deleted"
    }

    /// A person has few sessions; this bounds what one answer may hold.
    private static let listLimit = 500

    public let id: String
    public let hostUserId: String
    public let hostPublicKey: String
    public let sessionName: String?
    public let startedAt: Timestamp
    public let endedAt: Timestamp?

    init(_ row: Row) throws {
        id = try row.text("id")
        hostUserId = try row.text("host_user_id")
        hostPublicKey = try row.text("host_public_key")
        sessionName = try row.optionalText("session_name")
        startedAt = try row.time("started_at")
        endedAt = try row.optionalTime("ended_at")
    }

    /// Opens a session if the host's plan allows one more; check and insert are one transaction.
    /// - Throws: ``Refusal`` `.shareLimit`; ``StorageError``.
    public static func start(
        host: User, publicKey: String, name: String?, now: Timestamp, in database: SQLiteConnection
    ) throws -> ShareSession {
        let active =
            try database.first(
                "SELECT COUNT(*) AS active FROM share_sessions WHERE host_user_id = ? AND ended_at IS NULL", host.id
            ) { try $0.integer("active") } ?? 0
        if let limit = host.plan.limits.maxShares, active >= limit {
            let message = "Share limit reached (\(limit)). Upgrade to \(host.plan == .free ? "Pro" : "Team") for more."
            throw Refusal(.shareLimit, message, limit: limit, current: active, plan: host.plan)
        }
        let started = try database.first(
            """
            INSERT INTO share_sessions (id, host_user_id, host_public_key, session_name, started_at)
            VALUES (?, ?, ?, ?, ?) RETURNING *
            """, Identifier.make(now: now), host.id, publicKey, name, now, decode: ShareSession.init)
        guard let started else { throw StorageError(.failed, "the new share session was not returned") }
        return started
    }

    /// An active session, whoever owns it.
    public static func active(id: String, in database: SQLiteConnection) throws -> ShareSession? {
        try database.first(
            "SELECT * FROM share_sessions WHERE id = ? AND ended_at IS NULL", id, decode: ShareSession.init)
    }

    /// An active session that belongs to this user.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func owned(id: String, by userId: String, in database: SQLiteConnection) throws -> ShareSession {
        guard let session = try active(id: id, in: database), session.hostUserId == userId else {
            throw Refusal(.notFound, "Session not found or not owned by you")
        }
        return session
    }

    /// A user's active sessions, newest first.
    public static func active(ownedBy userId: String, in database: SQLiteConnection) throws -> [ShareSession] {
        try database.rows(
            """
            SELECT * FROM share_sessions WHERE host_user_id = ? AND ended_at IS NULL
            ORDER BY started_at DESC, id DESC LIMIT ?
            """, userId, listLimit, decode: ShareSession.init)
    }

    /// Keeps the host's seat, so that the host can come back to it after a restart.
    public static func seatHost(
        id: String, peerId: String, resumeDigest: [UInt8], in database: SQLiteConnection
    ) throws {
        try database.run(
            "UPDATE share_sessions SET host_peer_id = ?, host_resume_digest = ? WHERE id = ?", peerId, resumeDigest, id)
    }

    /// The ids of all active sessions, for the relay to wait for their hosts after a start.
    public static func activeIds(in database: SQLiteConnection) throws -> [String] {
        try database.rows("SELECT id FROM share_sessions WHERE ended_at IS NULL") { try $0.text("id") }
    }

    /// Ends a session and closes its connections. Ending twice changes nothing.
    /// - Returns: whether this call ended it.
    @discardableResult
    public static func end(
        id: String, reason: EndReason, now: Timestamp, in database: SQLiteConnection
    ) throws -> Bool {
        let ended = try database.run(
            "UPDATE share_sessions SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL",
            now, reason.rawValue, id)
        try database.run("UPDATE connections SET left_at = ? WHERE session_id = ? AND left_at IS NULL", now, id)
        return ended > 0
    }
}
