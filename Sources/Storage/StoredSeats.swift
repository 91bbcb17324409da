/// Who sat where in an active session when the server stopped, so that everybody may come back.
public struct StoredSeats: Sendable {
    public struct Seat: Sendable {
        /// 0 is the host.
        public let slot: Int
        public let peerId, userId, username, publicKey: String
        public let permission: ShareCode.Permission
        public let resumeDigest: [UInt8]
    }

    public let sessionId: String
    /// Nil where the host had not come yet.
    public let host: Seat?
    public let guests: [Seat]

    /// All active sessions. Seats that nobody can come back to are given up first.
    /// - Throws: ``StorageError``.
    public static func takeOver(now: Timestamp, in database: SQLiteConnection) throws -> [StoredSeats] {
        try Connection.leaveLost(now: now, in: database)
        return try ShareSession.activeIds(in: database).map { id in
            StoredSeats(sessionId: id, host: try host(of: id, in: database), guests: try guests(of: id, in: database))
        }
    }

    private static func host(of sessionId: String, in database: SQLiteConnection) throws -> Seat? {
        try database.first(
            """
            SELECT share_sessions.*, users.username FROM share_sessions
            JOIN users ON users.id = share_sessions.host_user_id
            WHERE share_sessions.id = ? AND host_resume_digest IS NOT NULL
            """, sessionId
        ) {
            Seat(
                slot: 0, peerId: try $0.text("host_peer_id"), userId: try $0.text("host_user_id"),
                username: try $0.text("username"), publicKey: "", permission: .control,
                resumeDigest: try $0.blob("host_resume_digest"))
        }
    }

    private static func guests(of sessionId: String, in database: SQLiteConnection) throws -> [Seat] {
        try database.rows(
            """
            SELECT connections.*, users.username FROM connections JOIN users ON users.id = connections.user_id
            WHERE session_id = ? AND left_at IS NULL AND slot > 0
            """, sessionId
        ) {
            Seat(
                slot: try $0.integer("slot"), peerId: try $0.text("id"), userId: try $0.text("user_id"),
                username: try $0.text("username"), publicKey: try $0.text("public_key"),
                permission: try $0.word("permission"), resumeDigest: try $0.blob("resume_digest"))
        }
    }
}
