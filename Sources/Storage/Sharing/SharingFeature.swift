import Database
import Model

extension StorageFeature {
    /// Share sessions, their codes and the seats in them.
    static let sharing = StorageFeature(
        name: "sharing", tenantTables: ["share_sessions", "share_codes", "connections"],
        migrations: [.guestsWithoutAccount],
        permissions: [.sessionCreate, .sessionReadAll, .sessionEndAny],
        limits: [.shares, .codes, .codeMinutes, .viewers, .guestsWithoutAccount, .sessionMinutes],
        endAccount: { userId, now, database in
            // Also in other organisations: usage is recorded before the rows are deleted.
            let sessions = try database.across(.upkeep).rows(
                "SELECT id FROM share_sessions WHERE host_user_id = ? AND ended_at IS NULL", userId
            ) { try $0.text("id") }
            for session in sessions { try ShareSession.end(id: session, reason: .deleted, now: now, in: database) }
            let seats = try database.across(.upkeep).rows(
                "SELECT id FROM connections WHERE user_id = ? AND left_at IS NULL", userId
            ) { try $0.text("id") }
            for seat in seats { try GuestSeat.leave(id: seat, now: now, in: database) }
        },
        clearAway: { cutoffs, database in
            guard let history = cutoffs.history else { return 0 }
            // Codes and seats are deleted with their session.
            return try database.across(.upkeep).run(
                """
                DELETE FROM share_sessions WHERE id IN (
                    SELECT id FROM share_sessions WHERE ended_at < ? ORDER BY ended_at LIMIT ?)
                """, history, batch)
        })

    /// The number of sessions that one transaction removes.
    private static let batch = 200
}

extension PermissionKey {
    public static let sessionCreate = PermissionKey(
        "session:create",
        "share terminals, manage one's own share sessions and codes, and join others' with a token that has scopes",
        [.owner, .admin, .member])
    public static let sessionReadAll = PermissionKey(
        "session:read_all", "see all share sessions", [.owner, .admin, .support])
    public static let sessionEndAny = PermissionKey(
        "session:end_any", "end any share session", [.owner, .admin, .support])
}

extension PlanLimit {
    /// Share sessions at once per person.
    public static let shares = PlanLimit("maxShares", "Share sessions at once, per person", [.free: 1, .pro: 5])
    /// Live codes per share session.
    public static let codes = PlanLimit("maxCodes", "Live codes per share session", [.free: 2])
    /// The maximum lifetime of a code, in minutes.
    public static let codeMinutes = PlanLimit("maxCodeMinutes", "Maximum lifetime of a code, minutes", [.free: 30])
    /// Guests at once per share session.
    public static let viewers = PlanLimit(
        "maxViewers", "Guests at once per share session", [.free: 2, .pro: 10, .team: 50])
    /// The maximum number of guests without an account. With 0 none are accepted.
    public static let guestsWithoutAccount = PlanLimit(
        "maxGuestsWithoutAccount", "Guests without an account at once, per share session", [:])
    /// The maximum duration of an interactive session, in minutes. Share sessions are interactive sessions. A machine's
    /// own connection is not.
    public static let sessionMinutes = PlanLimit(
        "sessionTimeoutMinutes", "Maximum length of a session, minutes", [.free: 15])
}

extension AuditAction {
    public static let sessionStarted = AuditAction("session.started")
    public static let sessionEnded = AuditAction("session.ended")
    /// A guest without an account took a seat.
    public static let guestJoined = AuditAction("session.guest_joined")
    public static let codeCreated = AuditAction("code.created")
    public static let codeRevoked = AuditAction("code.revoked")
}

extension Refusal.Code {
    public static let shareLimit = Self("share_limit_reached", .forbidden)
    public static let codeLimit = Self("code_limit_reached", .forbidden)
    public static let codeDuration = Self("code_duration_limit", .forbidden)
    public static let viewerLimit = Self("viewer_limit_reached", .forbidden)
    /// The session accepts only guests with an account.
    public static let accountNeeded = Self("account_required", .forbidden)
    public static let codeNotFound = Self("code_not_found", .forbidden)
    public static let codeRevoked = Self("code_revoked", .forbidden)
    public static let codeExpired = Self("code_expired", .forbidden)
    public static let codeUsedUp = Self("code_used_up", .forbidden)
    public static let sessionEnded = Self("session_ended", .forbidden)
}
