public import Database
public import Model

/// The seats in an active session when the server stopped, so that all peers can return.
public struct StoredSeats: Sendable {
    public let sessionId: String
    /// When the plan ends the session, and which plan that is.
    public let endsAt: Timestamp?
    public let plan: Plan
    /// The total bytes of its room so far. The last run's count is already included.
    public let bytesRelayed: Int
    /// Nil if the host had not connected yet.
    public let host: SeatRecord?
    public let guests: [SeatRecord]

    /// All active sessions. Seats to which nobody can return are released first.
    /// - Throws: ``StorageError``.
    public static func takeOver(now: Timestamp, in database: Transaction) throws -> [StoredSeats] {
        // This comes first: nobody is charged for the time that the server was stopped.
        try UsageLedger.resume(now: now, in: database)
        try GuestSeat.leaveLost(now: now, in: database)
        let active = try database.across(.upkeep).rows(
            """
            SELECT share_sessions.id, ends_at, plan, bytes_relayed FROM share_sessions
            JOIN organisations ON organisations.id = share_sessions.organisation_id WHERE ended_at IS NULL
            """
        ) {
            (
                try $0.text("id"), try $0.optionalTime("ends_at"), try $0.word("plan", as: Plan.self),
                try $0.integer("bytes_relayed")
            )
        }
        return try active.map { id, endsAt, plan, bytes in
            StoredSeats(
                sessionId: id, endsAt: endsAt, plan: plan, bytesRelayed: bytes, host: try host(of: id, in: database),
                guests: try guests(of: id, in: database))
        }
    }

    private static func host(of sessionId: String, in database: Transaction) throws -> SeatRecord? {
        try database.across(.upkeep).first(
            """
            SELECT share_sessions.*, users.username FROM share_sessions
            JOIN users ON users.id = share_sessions.host_user_id
            WHERE share_sessions.id = ? AND host_resume_digest IS NOT NULL
            """, sessionId
        ) {
            SeatRecord(
                slot: 0, peerId: try $0.text("host_peer_id"), userId: try $0.text("host_user_id"),
                username: try $0.text("username"), publicKey: "", permission: .control,
                resumeDigest: try $0.blob("host_resume_digest"),
                credentialId: try $0.optionalText("host_credential_id"),
                organisationId: try $0.text("organisation_id"))
        }
    }

    private static func guests(of sessionId: String, in database: Transaction) throws -> [SeatRecord] {
        try database.across(.upkeep).rows(
            """
            SELECT connections.*, users.username FROM connections LEFT JOIN users ON users.id = connections.user_id
            WHERE session_id = ? AND left_at IS NULL AND slot > 0
            """, sessionId
        ) {
            SeatRecord(
                slot: try $0.integer("slot"), peerId: try $0.text("id"), userId: try $0.optionalText("user_id"),
                username: try $0.optionalText("username") ?? SeatRecord.guestName,
                publicKey: try $0.text("public_key"),
                permission: try $0.word("permission"), resumeDigest: try $0.blob("resume_digest"),
                credentialId: try $0.optionalText("credential_id"), organisationId: try $0.text("organisation_id"))
        }
    }
}
