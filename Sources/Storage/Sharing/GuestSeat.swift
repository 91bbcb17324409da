public import Database
public import Model

/// A usable share code with its session and host.
public struct OpenCode: Sendable {
    public let code: ShareCode
    public let session: ShareSession
    public let host: User

    /// Looks a code up and checks every rule that does not depend on the caller.
    /// - Throws: ``Refusal`` with the sentence that the public API shows; ``StorageError``.
    public static func find(code: String, now: Timestamp, in database: Transaction) throws -> OpenCode {
        let all = database.across(.secretLeadsToTenant)
        guard let found = try all.first("SELECT * FROM share_codes WHERE code = ?", code, decode: ShareCode.init) else {
            throw Refusal(.codeNotFound, "Code not found")
        }
        if found.revokedAt != nil { throw Refusal(.codeRevoked, "Code has been revoked") }
        guard let session = try ShareSession.active(id: found.sessionId, across: all),
            let host = try User.find(id: session.hostUserId, in: database),
            let organisation = try Organisation.find(id: session.organisationId, in: database),
            organisation.deleteAfter == nil
        else { throw Refusal(.sessionEnded, "Session has ended") }
        if let expiresAt = found.expiresAt, expiresAt <= now { throw Refusal(.codeExpired, "Code has expired") }
        if let maxUses = found.maxUses, found.currentUses >= maxUses {
            throw Refusal(.codeUsedUp, "Code usage limit reached")
        }
        return OpenCode(code: found, session: session, host: host)
    }
}

/// A guest's seat in a share session.
public struct GuestSeat: Sendable {
    /// The peer's id in the protocol is the connection's id here.
    public let id: String
    public let opened: OpenCode
    /// The guest's place in the room: 1 to 65,535. It stays the guest's for as long as the session lasts.
    public let slot: Int

    /// The guest who takes a seat.
    public enum Guest: Sendable {
        case account(User, credentialId: String?)
        /// A guest without an account, from this address.
        case withoutAccount(address: String)
    }

    /// Takes a seat: checks the code, the organisation's rule and the plan's limits, counts the use and records the
    /// guest, in one transaction.
    /// - Throws: ``Refusal``; ``StorageError``.
    public static func admit(
        guest: Guest, code: String, publicKey: String, resumeDigest: (String) -> [UInt8], now: Timestamp,
        in database: Transaction
    ) throws -> GuestSeat {
        let opened = try OpenCode.find(code: code, now: now, in: database)
        let session = opened.session
        let scope = database.tenant(session.organisationId)
        try checkSeats(of: session, guest, in: scope)
        try scope.run(
            "UPDATE share_codes SET current_uses = current_uses + 1 WHERE organisation_id = :organisation AND code = ?",
            code)
        let id = Identifier.make(now: now)
        let slot = try freeSlot(sessionId: session.id, in: scope)
        try scope.run(
            """
            INSERT INTO connections (id, organisation_id, session_id, user_id, code, permission, joined_at, slot,
                public_key, resume_digest, credential_id, metered_until)
            VALUES (?, :organisation, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, id, session.id, guest.userId, code, opened.code.permission.rawValue, now, slot, publicKey,
            resumeDigest(session.id), guest.credentialId, now)
        try UsageLedger.notePeers(now: now, in: scope)
        if case .withoutAccount(let address) = guest {
            try Audit.record(
                .guestJoined, target: session.id, detail: opened.code.permission.rawValue,
                actor: .guestWithoutAccount(address: address), now: now, in: scope)
        }
        return GuestSeat(id: id, opened: opened, slot: slot)
    }

    /// A seat in an export.
    public struct Taken: Sendable {
        public let id, sessionId: String
        /// Nil for a guest without an account.
        public let userId: String?
        public let permission: Permission
        public let joinedAt: Timestamp
        public let leftAt: Timestamp?
    }

    /// The number of seats that an export reads at once.
    private static let historyPage = 1000

    /// All seats that were ever taken in an organisation's sessions, oldest first.
    /// - Parameter after: the last id of the previous page, or empty.
    public static func history(after: String, in scope: TenantScope) throws -> [Taken] {
        try scope.rows(
            "SELECT * FROM connections WHERE organisation_id = :organisation AND id > ? ORDER BY id LIMIT ?", after,
            historyPage
        ) {
            Taken(
                id: try $0.text("id"), sessionId: try $0.text("session_id"), userId: try $0.optionalText("user_id"),
                permission: try $0.word("permission"), joinedAt: try $0.time("joined_at"),
                leftAt: try $0.optionalTime("left_at"))
        }
    }

    /// Slots are assigned in order and reused only after all others, so that a late frame reaches nobody.
    private static func freeSlot(sessionId: String, in scope: TenantScope) throws -> Int {
        // Counted in the session and not by its guests: a guest whose account was removed may still be in the room.
        let next =
            try scope.first(
                """
                UPDATE share_sessions SET last_slot = last_slot + 1 WHERE organisation_id = :organisation AND id = ?
                RETURNING last_slot
                """, sessionId
            ) { try $0.integer("last_slot") } ?? 1
        if next > lastSlot {
            let taken = try scope.rows(
                """
                SELECT slot FROM connections
                WHERE organisation_id = :organisation AND session_id = ? AND left_at IS NULL
                """, sessionId
            ) { try $0.integer("slot") }
            if let free = (1...lastSlot).first(where: { !taken.contains($0) }) { return free }
            throw Refusal(.viewerLimit, "Viewer limit reached (\(lastSlot)).", limit: lastSlot, current: taken.count)
        }
        return next
    }

    /// Slots have 16 bits in the protocol, and 0 is the host.
    private static let lastSlot = 65_535

    /// The guest and the host of a seat whose guest left without proving that they know the words.
    public struct UnprovedSeat: Sendable {
        /// The guest's account. Nil for a guest without one.
        public let guestId: String?
        public let hostId, code: String
    }

    /// Releases the seat. Leaving twice changes nothing.
    /// - Parameter isUnproved: the guest never proved that it knows the words: the use of the code is given back.
    /// - Returns: who took the seat, if it was not proved.
    @discardableResult
    public static func leave(
        id: String, isUnproved: Bool = false, now: Timestamp, in database: Transaction
    ) throws -> UnprovedSeat? {
        let left = try database.across(.relay).first(
            """
            UPDATE connections SET left_at = ? WHERE id = ? AND left_at IS NULL
            RETURNING organisation_id, metered_until, user_id, code, session_id
            """, now, id
        ) {
            (
                organisation: try $0.text("organisation_id"), meteredUntil: try $0.optionalTime("metered_until"),
                guest: try $0.optionalText("user_id"), code: try $0.text("code"), session: try $0.text("session_id")
            )
        }
        guard let left else { return nil }
        let scope = database.tenant(left.organisation)
        try UsageLedger.close(.guestMinutes, from: left.meteredUntil, now: now, in: scope)
        guard isUnproved else { return nil }
        try scope.run(
            """
            UPDATE share_codes SET current_uses = current_uses - 1
            WHERE organisation_id = :organisation AND code = ? AND current_uses > 0
            """, left.code)
        let host = try scope.first(
            "SELECT host_user_id FROM share_sessions WHERE organisation_id = :organisation AND id = ?", left.session
        ) { try $0.text("host_user_id") }
        return host.map { UnprovedSeat(guestId: left.guest, hostId: $0, code: left.code) }
    }

    /// Closes the seats to which nobody can return: those of ended sessions, of versions that stored no token, and of
    /// accounts, credentials and memberships that are no longer valid.
    static func leaveLost(now: Timestamp, in database: Transaction) throws {
        let all = database.across(.upkeep)
        try all.run(
            """
            UPDATE share_sessions SET host_resume_digest = NULL WHERE ended_at IS NULL AND (
                (host_credential_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM credentials
                    WHERE credentials.id = host_credential_id AND (good_until IS NULL OR good_until > ?)))
                OR EXISTS (SELECT 1 FROM users WHERE users.id = host_user_id AND disabled_at IS NOT NULL)
                OR NOT EXISTS (SELECT 1 FROM memberships WHERE memberships.user_id = host_user_id
                    AND memberships.organisation_id = share_sessions.organisation_id))
            """, now)
        let lost = try all.rows(
            """
            SELECT id FROM connections WHERE left_at IS NULL AND (resume_digest IS NULL
                OR session_id IN (SELECT id FROM share_sessions WHERE ended_at IS NOT NULL)
                OR EXISTS (SELECT 1 FROM users WHERE users.id = connections.user_id AND disabled_at IS NOT NULL)
                OR (credential_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM credentials
                    WHERE credentials.id = credential_id AND (good_until IS NULL OR good_until > ?))))
            """, now
        ) { try $0.text("id") }
        for id in lost { try leave(id: id, now: now, in: database) }
    }

    private static func checkSeats(of session: ShareSession, _ guest: Guest, in scope: TenantScope) throws {
        guard let organisation = try Organisation.find(id: session.organisationId, in: scope.transaction) else {
            return
        }
        let plan = organisation.plan
        let limits = scope.transaction.keysAndPlans.plans[plan]
        if case .withoutAccount = guest {
            guard organisation.takesGuestsWithoutAccount, limits[.guestsWithoutAccount] != 0 else {
                throw Refusal(.accountNeeded, "This session takes guests with an account only; sign in and join again.")
            }
            if let limit = limits[.guestsWithoutAccount] {
                try check(
                    limit, .guestsWithoutAccount, "Limit of guests without an account", of: session, plan, in: scope)
            }
        }
        guard let limit = limits[.viewers] else { return }
        try check(limit, .viewers, "Viewer limit", of: session, plan, in: scope)
    }

    /// - Throws: ``Refusal`` `.viewerLimit` if the session has as many guests of this kind as its plan allows.
    private static func check(
        _ limit: Int, _ which: PlanLimit, _ what: String, of session: ShareSession, _ plan: Plan, in scope: TenantScope
    ) throws {
        scope.lock()
        let (seated, withoutAccount) =
            try scope.first(
                """
                SELECT COUNT(*) AS seated, COUNT(*) - COUNT(user_id) AS without_account FROM connections
                WHERE organisation_id = :organisation AND session_id = ? AND left_at IS NULL
                """, session.id
            ) { (try $0.integer("seated"), try $0.integer("without_account")) } ?? (0, 0)
        let current = which == .viewers ? seated : withoutAccount
        guard current < limit else {
            let advice = scope.transaction.keysAndPlans.plans.advice(
                from: plan, for: which, whoUpgrades: "The host can upgrade to")
            throw Refusal(
                .viewerLimit, "\(what) reached (\(limit)). \(advice)", limit: limit, current: current, plan: plan)
        }
    }
}

extension GuestSeat.Guest {
    /// Nil without an account.
    var userId: String? { if case .account(let user, _) = self { user.id } else { nil } }

    var credentialId: String? { if case .account(_, let id) = self { id } else { nil } }
}
