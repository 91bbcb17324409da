public import Database
public import Model

extension Tunnel {
    /// The options of a request for a tunnel.
    public struct Request: Sendable {
        public var kind: TunnelKind
        /// Nil for random words.
        public var name: String?
        /// Nil for any free port.
        public var port: Int?
        /// For an enrolled machine: the same label on the same machine is the same tunnel, whatever its name.
        public var declared: (machineId: String, label: String)?

        public init(
            kind: TunnelKind, name: String?, port: Int?, declared: (machineId: String, label: String)? = nil
        ) {
            self.kind = kind
            self.name = name
            self.port = port
            self.declared = declared
        }

        /// Whether the tunnel is kept when nothing serves it.
        var isKept: Bool { isNamed || declared != nil }
    }

    /// Claims a name or a port for the caller's organisation, within the plan. A name that the caller already has is the same tunnel.
    /// - Parameters:
    ///   - candidates: random names to try in turn.
    ///   - ports: the ports that the server's owner allows for tunnels.
    /// - Throws: ``Refusal`` `.tunnelLimit`, `.nameTaken`, `.invalid`; ``StorageError``.
    public static func claim(
        _ request: Request, by caller: Caller, candidates: [String], ports: ClosedRange<Int>?, now: Timestamp,
        in database: Transaction
    ) throws -> Tunnel {
        let member = try caller.member(may: .tunnelCreate, in: database)
        let scope = database.tenant(member.organisation.id)
        scope.lock()
        if let name = request.name { try TunnelName.check(name) }
        if let known = try known(request, by: caller, member, in: scope, ports) {
            if known.releasedAt == nil {
                return try declare(request.isKept ? keep(known, in: scope) : known, request, in: scope)
            }
            try checkCount(caller, member, in: scope)
            return try declare(revive(known, request, caller, now, in: scope), request, in: scope)
        }
        try checkCount(caller, member, in: scope)
        let made =
            request.kind == .tcp
            ? try insertPort(request, caller, ports, now, in: scope)
            : try insertName(request, caller, candidates, now, in: scope)
        try Audit.record(.tunnelCreated, target: made.id, detail: made.place, by: caller, now: now, in: scope)
        return try declare(made, request, in: scope)
    }

    /// Checks the label of a machine's tunnel: letters, digits, `.`, `_` and `-`.
    public static func isLabel(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }

    /// Stores which machine declares the tunnel. The machine's previous tunnel with this label stays the machine's, without the label.
    private static func declare(_ tunnel: Tunnel, _ request: Request, in scope: TenantScope) throws -> Tunnel {
        guard let (machine, label) = request.declared else {
            // A command took the tunnel over: the machine that declared it no longer releases it.
            if tunnel.machineId == nil { return tunnel }
            return try scope.first(
                """
                UPDATE tunnels SET machine_id = NULL, label = NULL WHERE organisation_id = :organisation AND id = ?
                RETURNING *
                """, tunnel.id, decode: Tunnel.init) ?? tunnel
        }
        guard isLabel(label) else {
            throw Refusal(
                .invalid,
                "A tunnel's label must be 1 to 63 letters, digits, dots, hyphens and underscores; not '\(label.prefix(64))'."
            )
        }
        if tunnel.machineId == machine && tunnel.label == label { return tunnel }
        try scope.run(
            """
            UPDATE tunnels SET label = NULL WHERE organisation_id = :organisation AND machine_id = ? AND label = ?
            """, machine, label)
        return try scope.first(
            """
            UPDATE tunnels SET machine_id = ?, label = ? WHERE organisation_id = :organisation AND id = ? RETURNING *
            """, machine, label, tunnel.id, decode: Tunnel.init) ?? tunnel
    }

    /// The name or the port, for the audit log and for people.
    public var place: String { name ?? port.map { "port \($0)" } ?? "" }

    /// The requested row: the one with this name or port, or, if none is named, the caller's last one that is free again.
    private static func known(
        _ request: Request, by caller: Caller, _ member: Member, in scope: TenantScope, _ ports: ClosedRange<Int>?
    ) throws -> Tunnel? {
        if !request.isNamed, let (machine, label) = request.declared {
            let declared = try scope.first(
                "SELECT * FROM tunnels WHERE organisation_id = :organisation AND machine_id = ? AND label = ?",
                machine, label, decode: Tunnel.init)
            guard let declared, declared.kind == request.kind else { return nil }
            // The server's owner no longer allows the port.
            if let port = declared.port, ports?.contains(port) != true { return nil }
            return declared
        }
        guard request.isNamed else {
            let last = try scope.first(
                """
                SELECT * FROM tunnels WHERE organisation_id = :organisation AND user_id = ? AND kind = ? AND is_kept = 0
                AND released_at IS NOT NULL ORDER BY released_at DESC LIMIT 1
                """, caller.user.id, request.kind.rawValue, decode: Tunnel.init)
            if let port = last?.port, ports?.contains(port) != true { return nil }
            return last
        }
        if let port = request.port { try check(port, within: ports) }
        let taken = try scope.transaction.across(.sharedNames).first(
            "SELECT * FROM tunnels WHERE name = ? OR port = ? LIMIT 1", request.name, request.port, decode: Tunnel.init)
        guard let taken else { return nil }
        guard taken.organisationId == scope.organisationId else {
            throw Refusal(.nameTaken, "\(request.what) is taken; choose another one.")
        }
        guard taken.userId == nil || taken.userId == caller.user.id || member.may(.tunnelManage) else {
            throw Refusal(.nameTaken, "\(request.what) belongs to another member of your organisation.")
        }
        if let other = taken.machineId, let declared = request.declared, other != declared.machineId,
            taken.releasedAt == nil, let machine = try Machine.find(id: other, in: scope), machine.revokedAt == nil
        {
            throw Refusal(
                .nameTaken,
                "\(request.what) is declared by the machine \(machine.name); remove it from its agent.yml and run 'postern tunnels apply' there first."
            )
        }
        guard taken.kind == request.kind || taken.releasedAt != nil else {
            throw Refusal(
                .nameTaken,
                "\(request.what) is a \(taken.kind.rawValue) tunnel; remove that one first: "
                    + "postern tunnel remove \(taken.name ?? "\(taken.port ?? 0)")")
        }
        return taken
    }

    /// Keeps a name that its owner requests explicitly.
    private static func keep(_ known: Tunnel, in scope: TenantScope) throws -> Tunnel {
        guard !known.isKept else { return known }
        return try scope.first(
            "UPDATE tunnels SET is_kept = 1 WHERE organisation_id = :organisation AND id = ? RETURNING *", known.id,
            decode: Tunnel.init) ?? known
    }

    private static func checkCount(_ caller: Caller, _ member: Member, in scope: TenantScope) throws {
        guard let (limit, plan) = caller.allowance(in: member.organisation, scope.transaction)[.tunnels] else { return }
        let current =
            try scope.first(
                "SELECT COUNT(*) AS count FROM tunnels WHERE organisation_id = :organisation AND released_at IS NULL"
            ) { try $0.integer("count") } ?? 0
        guard current >= limit else { return }
        let advice = scope.transaction.keysAndPlans.plans.advice(from: plan, for: .tunnels, whoUpgrades: "Upgrade to")
        throw Refusal(
            .tunnelLimit, "Tunnel limit reached (\(limit)). \(advice)", limit: limit, current: current, plan: plan)
    }

    private static func revive(
        _ known: Tunnel, _ request: Request, _ caller: Caller, _ now: Timestamp, in scope: TenantScope
    ) throws -> Tunnel {
        let isKept = request.isKept
        let revived = try scope.first(
            """
            UPDATE tunnels SET released_at = NULL, user_id = ?, kind = ?, is_kept = ?, created_at = ?, seen_at = NULL
            WHERE organisation_id = :organisation AND id = ? RETURNING *
            """, caller.user.id, request.kind.rawValue, isKept, now, known.id, decode: Tunnel.init)
        guard let revived else { throw StorageError(.failed, "the tunnel was not returned") }
        try Audit.record(.tunnelCreated, target: revived.id, detail: revived.place, by: caller, now: now, in: scope)
        return revived
    }

    private static func insertName(
        _ request: Request, _ caller: Caller, _ candidates: [String], _ now: Timestamp, in scope: TenantScope
    ) throws -> Tunnel {
        for candidate in request.name.map({ [$0] }) ?? candidates {
            let made = try scope.first(
                """
                INSERT INTO tunnels (id, organisation_id, user_id, kind, name, is_kept, created_at)
                VALUES (?, :organisation, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING *
                """, Identifier.make(now: now), caller.user.id, request.kind.rawValue, candidate, request.isKept,
                now, decode: Tunnel.init)
            if let made { return made }
        }
        throw StorageError(.failed, "no free name among \(candidates.count) random ones; try again")
    }

    private static let noPorts = Refusal(
        .tunnelsOff, "This server has no ports for tunnels; its owner must set tunnel-ports.")

    private static func check(_ port: Int, within ports: ClosedRange<Int>?) throws {
        guard let ports else { throw noPorts }
        guard ports.contains(port) else {
            throw Refusal(
                .notPossible,
                "Port \(port) is not available for tunnels; choose one from \(ports.lowerBound) to \(ports.upperBound)."
            )
        }
    }

    /// The number of attempts to find a free port.
    private static let portTries = 64

    private static func insertPort(
        _ request: Request, _ caller: Caller, _ ports: ClosedRange<Int>?, _ now: Timestamp, in scope: TenantScope
    ) throws -> Tunnel {
        guard let ports else { throw noPorts }
        // Start at a random port: a port that was just released is not assigned next.
        let start = Int.random(in: ports)
        let tried = (0..<min(ports.count, portTries)).map {
            ports.lowerBound + (start - ports.lowerBound + $0) % ports.count
        }
        for port in request.port.map({ [$0] }) ?? tried {
            let made = try scope.first(
                """
                INSERT INTO tunnels (id, organisation_id, user_id, kind, port, is_kept, created_at)
                VALUES (?, :organisation, ?, ?, ?, ?, ?) ON CONFLICT (port) DO NOTHING RETURNING *
                """, Identifier.make(now: now), caller.user.id, request.kind.rawValue, port, request.isKept, now,
                decode: Tunnel.init)
            if let made { return made }
        }
        throw Refusal(.limit, "No port for tunnels is free (\(ports.lowerBound) to \(ports.upperBound)).")
    }
}

extension Tunnel.Request {
    fileprivate var isNamed: Bool { name != nil || port != nil }

    fileprivate var what: String { name.map { "The name \($0)" } ?? "Port \(port ?? 0)" }
}
