/// Whom a code would let in, and to what.
public struct Invitation: Sendable {
    public let code: ShareCode
    public let session: ShareSession
    public let host: User

    /// Looks a code up and checks every rule that does not depend on who asks.
    /// - Throws: ``Refusal`` with the sentence that the public API shows; ``StorageError``.
    public static func find(code: String, now: Timestamp, in database: SQLiteConnection) throws -> Invitation {
        guard let found = try database.first("SELECT * FROM share_codes WHERE code = ?", code, decode: ShareCode.init)
        else {
            throw Refusal(.codeNotFound, "Code not found")
        }
        if found.revokedAt != nil { throw Refusal(.codeRevoked, "Code has been revoked") }
        guard let session = try ShareSession.active(id: found.sessionId, in: database),
            let host = try User.find(id: session.hostUserId, in: database)
        else { throw Refusal(.sessionEnded, "Session has ended") }
        if let expiresAt = found.expiresAt, expiresAt <= now { throw Refusal(.codeExpired, "Code has expired") }
        if let maxUses = found.maxUses, found.currentUses >= maxUses {
            throw Refusal(.codeUsedUp, "Code usage limit reached")
        }
        return Invitation(code: found, session: session, host: host)
    }
}

/// A guest's seat in a share session.
public struct Connection: Sendable {
    /// The peer's id on the wire is the connection's id here.
    public let id: String
    public let invitation: Invitation
    /// The guest's place in the room: 1 to 65,535, its own for as long as the session lasts.
    public let slot: Int

    /// Takes a seat: checks the code and the plan's viewer limit, counts the use and records the guest, in one transaction.
    /// - Throws: ``Refusal``; ``StorageError``.
    public static func admit(
        guest: User, code: String, publicKey: String, resumeDigest: (String) -> [UInt8], now: Timestamp,
        in database: SQLiteConnection
    ) throws -> Connection {
        let invitation = try Invitation.find(code: code, now: now, in: database)
        try checkSeats(of: invitation, in: database)
        try database.run("UPDATE share_codes SET current_uses = current_uses + 1 WHERE code = ?", code)
        let id = Identifier.make(now: now)
        let slot = try freeSlot(sessionId: invitation.session.id, in: database)
        try database.run(
            """
            INSERT INTO connections (id, session_id, user_id, code, permission, joined_at, slot, public_key, resume_digest)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, id, invitation.session.id, guest.id, code, invitation.code.permission.rawValue, now, slot, publicKey,
            resumeDigest(invitation.session.id))
        return Connection(id: id, invitation: invitation, slot: slot)
    }

    /// Slots are handed out in order and used again only after all others, so that a late frame finds nobody.
    private static func freeSlot(sessionId: String, in database: SQLiteConnection) throws -> Int {
        // Counted in the session and not by its guests: one whose account is removed may still sit in the room.
        let next =
            try database.first(
                "UPDATE share_sessions SET last_slot = last_slot + 1 WHERE id = ? RETURNING last_slot", sessionId
            ) { try $0.integer("last_slot") } ?? 1
        if next > lastSlot {
            let taken = try database.rows(
                "SELECT slot FROM connections WHERE session_id = ? AND left_at IS NULL", sessionId
            ) { try $0.integer("slot") }
            if let free = (1...lastSlot).first(where: { !taken.contains($0) }) { return free }
            throw Refusal(.viewerLimit, "Viewer limit reached (\(lastSlot)).", limit: lastSlot, current: taken.count)
        }
        return next
    }

    /// Slots are 16 bits on the wire, and 0 is the host.
    private static let lastSlot = 65_535

    /// Gives the seat up. Leaving twice changes nothing.
    public static func leave(id: String, now: Timestamp, in database: SQLiteConnection) throws {
        try database.run("UPDATE connections SET left_at = ? WHERE id = ? AND left_at IS NULL", now, id)
    }

    /// Closes the seats that nobody can come back to: those of ended sessions, and of versions that kept no token.
    public static func leaveLost(now: Timestamp, in database: SQLiteConnection) throws {
        try database.run(
            """
            UPDATE connections SET left_at = ? WHERE left_at IS NULL AND (resume_digest IS NULL
                OR session_id IN (SELECT id FROM share_sessions WHERE ended_at IS NOT NULL))
            """, now)
    }

    private static func checkSeats(of invitation: Invitation, in database: SQLiteConnection) throws {
        guard let limit = invitation.host.plan.limits.maxViewers else { return }
        let seated =
            try database.first(
                "SELECT COUNT(*) AS seated FROM connections WHERE session_id = ? AND left_at IS NULL",
                invitation.session.id
            ) { try $0.integer("seated") } ?? 0
        guard seated < limit else {
            let next = invitation.host.plan == .free ? "Pro" : invitation.host.plan == .pro ? "Team" : "Enterprise"
            throw Refusal(
                .viewerLimit, "Viewer limit reached (\(limit)). The host can upgrade to \(next) for more.",
                limit: limit, current: seated, plan: invitation.host.plan)
        }
    }
}
