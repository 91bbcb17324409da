public import Database
public import Model

// `maxHosts`: machines that are connected at once, counted by the account that enrolled them.
//
// A machine that was admitted has a place and may always reconnect to it: a lower plan disconnects no machine, also not
// after a restart of the server. The place of a disconnected machine counts for newcomers for one more minute, or not
// at all if the machine announced that it stops. The place is released only when another machine takes it.
extension Machine {
    /// How long the place of a lost machine is kept for it, in seconds: longer than the longest delay between two retries.
    private static let keptSeconds: Int64 = 60

    /// Admits a machine by its key. Check and registration are one transaction.
    /// - Parameter link: the id of the link. The place belongs to this link, and only its end releases the place.
    /// - Returns: the machine, and the account it acts for.
    /// - Throws: ``Refusal`` `.machineUnknown`, `.machineRevoked`, `.hostLimit`, and those of
    ///   ``Caller/member(of:may:whileDeleted:in:)``; ``StorageError``.
    public static func connect(
        key fingerprint: String, link: String, from address: String, software: String, now: Timestamp,
        in database: Transaction
    ) throws -> (Machine, Caller) {
        guard let machine = try find(key: fingerprint, in: database) else {
            throw Refusal.machineUnknown
        }
        let scope = database.tenant(machine.organisationId)
        if let revokedAt = machine.revokedAt {
            throw Refusal(
                .machineRevoked,
                "\(machine.name) was revoked at \(revokedAt.readable); run 'postern machine enroll' on it to enrol it again."
            )
        }
        guard let userId = machine.userId, let user = try User.find(id: userId, in: database), user.disabledAt == nil
        else {
            throw Refusal(
                .machineRevoked,
                "The account that enrolled \(machine.name) is disabled or was removed; run 'postern machine enroll' on it with another user's code."
            )
        }
        let caller = Caller(
            user: user, organisationId: machine.organisationId, credential: .machine(machine.id),
            scopes: machine.scopes,
            isStrong: machine.isStrong, address: address)
        let member = try Self.admitted(caller, machine, in: database)
        let allowance = caller.allowance(in: member.organisation, database)
        if machine.placedAt == nil {
            scope.lock()
            try checkPlace(of: machine.id, for: userId, allowance, now: now, in: database)
        }
        if machine.nextFingerprint == fingerprint {
            try scope.run(
                """
                UPDATE machines SET fingerprint = next_fingerprint, next_fingerprint = NULL
                WHERE organisation_id = :organisation AND id = ?
                """, machine.id)
            try Audit.record(
                .machineRekeyed, target: machine.id, detail: machine.name, by: caller, now: now, in: scope)
        }
        try scope.run(
            """
            UPDATE machines SET placed_at = COALESCE(placed_at, ?), link = ?, lost_at = NULL, seen_at = ?, seen_from = ?,
                software = ? WHERE organisation_id = :organisation AND id = ?
            """, now, link, now, address, plain(software), machine.id)
        if machine.placedAt == nil {
            try giveUpPlaces(of: userId, except: machine.id, allowance, now: now, in: database)
            // A link that reconnects after a network failure is not an action of a person. A new link is.
            try Audit.record(
                .machineConnected, target: machine.id, detail: machine.name, by: caller, now: now, in: scope)
        }
        return (machine, caller)
    }

    /// The permissions of the machine in the name of the person who enrolled it.
    private var scopes: Set<PermissionKey> {
        allows.contains(.tunnels) ? [.machineEnroll, .tunnelCreate] : [.machineEnroll]
    }

    /// The message for a person has no meaning for a machine.
    private static func admitted(_ caller: Caller, _ machine: Machine, in database: Transaction) throws -> Member {
        do { return try caller.member(may: .machineEnroll, in: database) } catch let refusal as Refusal {
            let why =
                switch refusal.code {
                case .secondFactor:
                    "its organisation requires a second factor, which was not used when it was enrolled"
                case .notFound:
                    "\(caller.user.username) is no longer a member of its organisation, or the organisation is deleted"
                default: "\(caller.user.username) is no longer allowed to enrol machines"
                }
            throw Refusal(
                .machineRevoked,
                "\(machine.name) is not allowed to connect: \(why). Enrol it again with a code of a user who is allowed to."
            )
        }
    }

    /// A link has ended, or was not admitted after all.
    /// - Parameters:
    ///   - link: the machine's link that ended.
    ///   - isFinal: the machine announced that it stops and needs no place for now.
    ///   - other: another link of the machine that stays open.
    public static func disconnected(
        id: String, link: String, isFinal: Bool, other: String?, now: Timestamp, in database: Transaction
    ) throws {
        if let other {
            try database.across(.upkeep).run(
                "UPDATE machines SET link = ?, lost_at = NULL WHERE id = ? AND link = ?", other, id, link)
            return
        }
        try database.across(.upkeep).run(
            """
            UPDATE machines SET seen_at = ?, lost_at = CASE WHEN ? THEN NULL ELSE ? END,
                placed_at = CASE WHEN ? THEN NULL ELSE placed_at END
            WHERE id = ? AND link = ? AND placed_at IS NOT NULL
            """, now, isFinal, now, isFinal, id, link)
    }

    /// Called after a start of the server: no link is open, and every admitted machine gets its time to reconnect.
    public static func markAllLost(now: Timestamp, in database: Transaction) throws {
        try database.across(.upkeep).run("UPDATE machines SET lost_at = ? WHERE placed_at IS NOT NULL", now)
    }

    /// - Parameter id: the machine that asks, which is not counted. Nil for one that is not enrolled yet.
    /// - Throws: ``Refusal`` `.hostLimit`.
    static func checkPlace(
        of id: String?, for userId: String, _ allowance: Allowance, now: Timestamp, in database: Transaction
    ) throws {
        guard let (limit, plan) = allowance[.hosts] else { return }
        database.lock(.account(userId))
        let current =
            try database.across(.perPerson).first(
                """
                SELECT COUNT(*) AS found FROM machines WHERE user_id = ? AND id <> ? AND placed_at IS NOT NULL
                AND (lost_at IS NULL OR lost_at > ?)
                """, userId, id ?? "", now.advanced(bySeconds: -keptSeconds)
            ) { try $0.integer("found") } ?? 0
        guard current >= limit else { return }
        throw Refusal(
            .hostLimit, "Host limit reached (\(current)/\(limit)). Upgrade your plan for more hosts.", limit: limit,
            current: current, plan: plan)
    }

    /// Another machine has taken a place. If the limit is exceeded, the machines that have been disconnected longest lose their places.
    private static func giveUpPlaces(
        of userId: String, except id: String, _ allowance: Allowance, now: Timestamp, in database: Transaction
    ) throws {
        guard let (limit, _) = allowance[.hosts] else { return }
        database.lock(.account(userId))
        try database.across(.perPerson).run(
            """
            UPDATE machines SET placed_at = NULL, lost_at = NULL WHERE id IN (
                SELECT id FROM machines WHERE user_id = ? AND id <> ? AND placed_at IS NOT NULL AND lost_at IS NOT NULL
                ORDER BY lost_at LIMIT max(0, (
                    SELECT COUNT(*) FROM machines WHERE user_id = ? AND placed_at IS NOT NULL) - ?))
            """, userId, id, userId, limit)
    }
}
