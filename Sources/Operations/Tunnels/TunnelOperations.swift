public import Database
public import Model
public import Storage
public import Tunnels

/// Operations of people on tunnels. Used by the API, the pages and the command line.
public struct TunnelOperations: Sendable {
    /// The number of attempts to find a random name: two billion are possible.
    private static let nameAttempts = 8
    /// A generated name is released if no command has served it for this long, in seconds: a laptop may sleep in the meantime.
    private static let abandonedSeconds: Int64 = 600

    public let database: Database
    public let server: TunnelServer

    public init(database: Database, server: TunnelServer) {
        self.database = database
        self.server = server
    }

    /// A tunnel with its owner's name and its status at the edge.
    public struct Listed: Sendable {
        public let tunnel: Tunnel
        /// Nil if the account no longer exists.
        public let owner: String?
        /// Nil if no machine serves it now.
        public let status: TunnelStatus?
        /// Whether the caller may stop, pause and remove it.
        public let mayManage: Bool
    }

    // MARK: Looking

    /// - Parameter all: all tunnels of the organisation, if the role allows it. Otherwise the caller's own.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func list(all: Bool, by caller: Caller) async throws -> [Listed] {
        let statuses = await server.statuses()
        return try await database.read { database in
            let member: Member
            do {
                member = try caller.member(may: all ? .tunnelRead : .tunnelCreate, in: database)
            } catch let refusal as Refusal where refusal.code == .notAllowed && !all && caller.scopes == nil {
                // A role that may not open tunnels has none to list.
                return []
            }
            return try Tunnel.list(ownedBy: all ? nil : caller.user.id, in: database.tenant(member.organisation.id)).map
            {
                try Self.listed($0, statuses, member, caller, database)
            }
        }
    }

    /// The tunnels for a page: all of them if the role may see them.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func overview(by caller: Caller) async throws -> (isEverybodys: Bool, tunnels: [Listed]) {
        let statuses = await server.statuses()
        return try await database.read { database in
            let member = try caller.member(may: .tenantRead, in: database)
            let seesAll = member.may(.tunnelRead)
            let tunnels = try Tunnel.list(
                ownedBy: seesAll ? nil : caller.user.id, in: database.tenant(member.organisation.id))
            return (seesAll, try tunnels.map { try Self.listed($0, statuses, member, caller, database) })
        }
    }

    /// One tunnel, by its id, name or port.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func show(_ named: String, by caller: Caller) async throws -> Listed {
        let statuses = await server.statuses()
        return try await database.read { database in
            let (tunnel, member) = try Self.visible(named, to: caller, in: database)
            return try Self.listed(tunnel, statuses, member, caller, database)
        }
    }

    /// The tunnels of all organisations, newest first.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func listEverywhere(by caller: Caller) async throws -> [(listed: Listed, organisation: String)] {
        try caller.requireAdministrator()
        let statuses = await server.statuses()
        return try await database.read { database in
            try Tunnel.all(in: database).map { tunnel in
                let owner = try tunnel.userId.flatMap { try User.find(id: $0, in: database)?.username }
                let organisation = try Organisation.find(id: tunnel.organisationId, in: database)?.name ?? ""
                return (
                    Listed(tunnel: tunnel, owner: owner, status: statuses[tunnel.id], mayManage: true), organisation
                )
            }
        }
    }

    private static func listed(
        _ tunnel: Tunnel, _ statuses: [String: TunnelStatus], _ member: Member, _ caller: Caller,
        _ database: Transaction
    ) throws -> Listed {
        Listed(
            tunnel: tunnel, owner: try tunnel.userId.flatMap { try User.find(id: $0, in: database)?.username },
            status: statuses[tunnel.id],
            mayManage: tunnel.userId == caller.user.id && member.may(.tunnelCreate) || member.may(.tunnelManage))
    }

    /// Requires a permission for tunnels. A token may have only one of them.
    private static func member(_ caller: Caller, in database: Transaction) throws -> Member {
        for key in [PermissionKey.tunnelRead, .tunnelManage] {
            do { return try caller.member(may: key, in: database) } catch let refusal as Refusal
                where refusal.code == .notAllowed
            {}
        }
        return try caller.member(may: .tunnelCreate, in: database)
    }

    /// Other people's tunnels are treated as unknown if the role may not see them.
    static func visible(
        _ named: String, to caller: Caller, in database: Transaction
    ) throws -> (Tunnel, Member) {
        let member = try member(caller, in: database)
        guard let tunnel = try Tunnel.find(named: named, in: database.tenant(member.organisation.id)),
            tunnel.userId == caller.user.id || member.may(.tunnelRead) || member.may(.tunnelManage)
        else { throw Refusal(.notFound, "There is no tunnel \(named.prefix(64)).") }
        return (tunnel, member)
    }

    private static func managed(_ named: String, by caller: Caller, in database: Transaction) throws -> Tunnel {
        try manageable(named, by: caller, in: database).0
    }

    /// A tunnel that the caller may change.
    static func manageable(
        _ named: String, by caller: Caller, in database: Transaction
    ) throws -> (Tunnel, Member) {
        let (tunnel, member) = try visible(named, to: caller, in: database)
        let isOwn = tunnel.userId == caller.user.id && member.may(.tunnelCreate)
        guard isOwn || member.may(.tunnelManage) else {
            throw Refusal(.notAllowed, "Your role \(member.role.name) does not have tunnel:manage; ask an admin.")
        }
        return (tunnel, member)
    }

    // MARK: Changing

    /// Claims a name or a port. The command that serves it connects with its link.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func create(_ request: Tunnel.Request, by caller: Caller) async throws -> Listed {
        let configuration = server.configuration
        guard request.kind == .tcp || configuration.domain != nil else {
            throw Refusal.noTunnelDomain
        }
        let candidates = (0..<Self.nameAttempts).map { _ in TunnelName.random() }
        let tunnel = try await database.write {
            try Tunnel.claim(
                request, by: caller, candidates: candidates, ports: configuration.ports, now: .now(), in: $0)
        }
        know(tunnel)
        return try await show(tunnel.id, by: caller)
    }

    /// Ends the command that serves a tunnel. A chosen name is kept.
    /// - Returns: whether a command served it.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func stop(_ named: String, by caller: Caller) async throws -> Bool {
        let tunnel = try await database.write { database in
            let tunnel = try Self.managed(named, by: caller, in: database)
            try Audit.record(
                .tunnelStopped, target: tunnel.id, detail: tunnel.place, by: caller, now: .now(),
                in: database.tenant(tunnel.organisationId))
            return tunnel
        }
        return server.end(id: tunnel.id, reason: "\(caller.user.username) has stopped it.")
    }

    /// Releases a name or a port. It stays reserved for the organisation.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func remove(_ named: String, by caller: Caller) async throws {
        let tunnel = try await database.write(essential: true) { database in
            let tunnel = try Self.managed(named, by: caller, in: database)
            let scope = database.tenant(tunnel.organisationId)
            if try Tunnel.release(id: tunnel.id, now: .now(), in: scope) {
                try Audit.record(
                    .tunnelReleased, target: tunnel.id, detail: tunnel.place, by: caller, now: .now(), in: scope)
            }
            return tunnel
        }
        server.end(id: tunnel.id, reason: "\(caller.user.username) has removed it.")
        if let name = tunnel.name { server.forget(name: name) }
    }

    /// Refuses all visitors until the tunnel is resumed. The command stays connected.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func setPaused(_ named: String, _ isPaused: Bool, by caller: Caller) async throws {
        let tunnel = try await database.write(essential: true) { database in
            let tunnel = try Self.managed(named, by: caller, in: database)
            if tunnel.isBlocked && !isPaused { throw tunnel.pausedRefusal }
            let scope = database.tenant(tunnel.organisationId)
            try Tunnel.setPaused(id: tunnel.id, isPaused ? .now() : nil, in: scope)
            try Self.record(isPaused, tunnel, by: caller, in: scope)
            return tunnel
        }
        server.setPaused(id: tunnel.id, name: tunnel.name, isPaused)
    }

    // MARK: Administrators

    /// Pauses a tunnel of any organisation. Only an administrator can resume it.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func setBlocked(id: String, _ isBlocked: Bool, by caller: Caller) async throws {
        try caller.requireAdministrator()
        let tunnel = try await database.write(essential: true) { database in
            let tunnel = try Self.anywhere(id, in: database)
            let scope = database.tenant(tunnel.organisationId)
            try Tunnel.setBlocked(id: tunnel.id, isBlocked, in: scope)
            try Self.record(isBlocked, tunnel, by: caller, in: scope)
            return tunnel
        }
        // If its owner had paused it, it stays paused.
        server.setPaused(id: tunnel.id, name: tunnel.name, isBlocked || tunnel.pausedAt != nil)
    }

    /// Ends the command that serves a tunnel of any organisation.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func kill(id: String, by caller: Caller) async throws -> Bool {
        try caller.requireAdministrator()
        let tunnel = try await database.write(essential: true) { database in
            let tunnel = try Self.anywhere(id, in: database)
            try Audit.record(
                .tunnelStopped, target: tunnel.id, detail: tunnel.place, by: caller, now: .now(),
                in: database.tenant(tunnel.organisationId))
            return tunnel
        }
        return server.end(id: tunnel.id, reason: "An administrator of the server has stopped it.")
    }

    private static func anywhere(_ id: String, in database: Transaction) throws -> Tunnel {
        guard let tunnel = try Tunnel.findAnywhere(id: id, in: database) else {
            throw Refusal(.notFound, "There is no such tunnel.")
        }
        return tunnel
    }

    private static func record(
        _ isPaused: Bool, _ tunnel: Tunnel, by caller: Caller, in scope: TenantScope
    ) throws {
        try Audit.record(
            isPaused ? .tunnelPaused : .tunnelResumed, target: tunnel.id, detail: tunnel.place, by: caller, now: .now(),
            in: scope)
    }

    // MARK: Upkeep

    /// Tells owners of tunnels whose request rate or share of errors left the range of the week before.
    /// - Throws: ``StorageError``.
    public func watch(_ mail: AccountMail?) async throws {
        let found = try await database.write { database in
            let now = Timestamp.now()
            let found = try TunnelHour.takeUnusual(now: now, in: database)
            for (tunnel, sentence) in found {
                try Audit.record(
                    .tunnelUnusual, target: tunnel.id, detail: "\(tunnel.place): \(sentence)", result: .failed,
                    actor: .server,
                    now: now, in: database.tenant(tunnel.organisationId))
            }
            return found
        }
        for (tunnel, sentence) in found {
            guard let owner = tunnel.userId else { continue }
            await mail?.notify(
                userId: owner, subject: "Your tunnel \(tunnel.place) is unusually used", sentence,
                path: "/organisation/tunnels")
        }
    }

    private func know(_ tunnel: Tunnel) {
        guard let name = tunnel.name else { return }
        server.know(
            name, KnownTunnel(id: tunnel.id, lastSeen: tunnel.seenAt, isPaused: tunnel.isPaused))
    }

    /// Called after a start: the edge learns every name, so that a visitor is told that its machine is away.
    /// - Throws: ``StorageError``.
    public func load() async throws {
        // Uses the writer, as all other steps of the start do: the first read is then the health check's, and it sees the file as it is.
        for tunnel in try await database.write(essential: true, { try Tunnel.all(in: $0) }) { know(tunnel) }
    }

    /// Stores the traffic of tunnels, and releases names that no command serves any more.
    /// - Throws: ``StorageError``.
    public func upkeep() async throws {
        let statuses = await server.statuses()
        let abandoned = try await database.write(essential: true) { database in
            let now = Timestamp.now()
            try UsageLedger.settleTunnels(statuses.mapValues { TunnelUsage($0.totals) }, now: now, in: database)
            try Tunnel.markSeen(Array(statuses.keys), now: now, in: database)
            return try Tunnel.releaseAbandoned(
                before: now.advanced(bySeconds: -Self.abandonedSeconds), now: now, in: database)
        }
        await server.cutForgotten()
        for tunnel in abandoned { if let name = tunnel.name { server.forget(name: name) } }
    }
}

extension RevokedLinks {
    public init(_ subject: Revocation.Subject) {
        switch subject {
        case .user(let id): self = .user(id)
        case .credential(let id): self = .credential(id)
        case .member(let user, let organisation): self = .member(organisationId: organisation, userId: user)
        }
    }
}
