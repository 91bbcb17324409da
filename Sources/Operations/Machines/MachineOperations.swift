public import Database
import Limits
public import Model
import NIOCore
public import Storage
public import Tunnels

/// Operations of people on enrolled machines. Used by the API, the pages and the command line.
public struct MachineOperations: Sendable {
    public let database: Database
    public let server: TunnelServer
    /// Limits how often refusals that strangers can cause are recorded.
    private let refusals = OnceInAWhile(.hours(1))

    public init(database: Database, server: TunnelServer) {
        self.database = database
        self.server = server
    }

    /// A machine with its owner's name and its status at the edge.
    public struct Listed: Sendable {
        public let machine: Machine
        /// Nil if the account no longer exists.
        public let owner: String?
        /// Nil if its link is not open.
        public let status: MachineStatus?
        /// The reason why it is held back.
        public let problem: String?
        /// Whether the caller may rename and revoke it.
        public let mayManage: Bool
    }

    // MARK: Looking

    /// Machines by name.
    /// - Parameter all: all machines of the organisation, if the role allows it. Otherwise the caller's own.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func list(all: Bool, by caller: Caller) async throws -> [Listed] {
        let statuses = server.machines()
        return try await database.read { database in
            let member: Member
            do {
                member = try caller.member(may: all ? .machineRead : .machineEnroll, in: database)
            } catch let refusal as Refusal where refusal.code == .notAllowed && !all && caller.scopes == nil {
                // A role that may not enrol machines has none to list.
                return []
            }
            return try listed(
                Machine.list(enrolledBy: all ? nil : caller.user.id, in: database.tenant(member.organisation.id)),
                statuses, member, caller, database)
        }
    }

    /// The machines for a page: all of them if the role may see them.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func overview(
        by caller: Caller
    ) async throws -> (isEverybodys: Bool, mayEnroll: Bool, machines: [Listed]) {
        let statuses = server.machines()
        return try await database.read { database in
            let member = try caller.member(may: .tenantRead, in: database)
            let seesAll = member.may(.machineRead)
            let machines = try Machine.list(
                enrolledBy: seesAll ? nil : caller.user.id, in: database.tenant(member.organisation.id))
            return (
                seesAll, member.may(.machineEnroll), try listed(machines, statuses, member, caller, database)
            )
        }
    }

    /// One machine by its id or name, with its tunnels.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func show(_ named: String, by caller: Caller) async throws -> (Listed, tunnels: [Tunnel]) {
        let found = try await database.read { database in
            let (machine, member) = try Self.visible(named, to: caller, in: database)
            let tunnels = try Tunnel.list(of: machine.id, in: database.tenant(machine.organisationId))
            return (try listed([machine], [:], member, caller, database)[0], tunnels)
        }
        let status = await server.machine(found.0.machine.id)
        return (
            Listed(
                machine: found.0.machine, owner: found.0.owner, status: status, problem: found.0.problem,
                mayManage: found.0.mayManage), found.1
        )
    }

    private func listed(
        _ machines: [Machine], _ statuses: [String: MachineStatus], _ member: Member, _ caller: Caller,
        _ database: Transaction
    ) throws -> [Listed] {
        var owners: [String: String] = [:]
        return try machines.map { machine in
            if let id = machine.userId, owners[id] == nil {
                owners[id] = try User.find(id: id, in: database)?.username
            }
            return Listed(
                machine: machine, owner: machine.userId.flatMap { owners[$0] }, status: statuses[machine.id],
                problem: server.problem(of: machine.id), mayManage: Self.mayManage(machine, member, caller))
        }
    }

    private static func mayManage(_ machine: Machine, _ member: Member, _ caller: Caller) -> Bool {
        machine.userId == caller.user.id && member.may(.machineEnroll) || member.may(.machineManage)
    }

    /// Requires a permission for machines. A token may have only one of them.
    private static func member(_ caller: Caller, in database: Transaction) throws -> Member {
        for key in [PermissionKey.machineRead, .machineManage] {
            do { return try caller.member(may: key, in: database) } catch let refusal as Refusal
                where refusal.code == .notAllowed
            {}
        }
        return try caller.member(may: .machineEnroll, in: database)
    }

    /// Other people's machines are treated as unknown if the role may not see them.
    private static func visible(
        _ named: String, to caller: Caller, in database: Transaction
    ) throws -> (Machine, Member) {
        let member = try member(caller, in: database)
        guard let machine = try Machine.find(named: named, in: database.tenant(member.organisation.id)),
            machine.userId == caller.user.id || member.may(.machineRead) || member.may(.machineManage)
        else { throw Refusal(.notFound, "There is no machine \(named.prefix(64)).") }
        return (machine, member)
    }

    private static func managed(_ named: String, by caller: Caller, in database: Transaction) throws -> Machine {
        let (machine, member) = try visible(named, to: caller, in: database)
        guard mayManage(machine, member, caller) else {
            throw Refusal(.notAllowed, "Your role \(member.role.name) does not have machine:manage; ask an admin.")
        }
        return machine
    }

    // MARK: Enrolling

    /// Creates a code that enrols one machine for the caller.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func invite(by caller: Caller) async throws -> (EnrolmentCode, secret: String) {
        try await database.write { try EnrolmentCode.create(by: caller, now: .now(), in: $0) }
    }

    /// Enrols a machine with a code.
    /// - Parameter address: the address of the request.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func enrol(_ enrolment: Machine.Enrolment, code: String, from address: String) async throws -> Machine {
        do {
            return enrolled(
                try await database.write {
                    try EnrolmentCode.enrol(enrolment, code: code, from: address, now: .now(), in: $0)
                })
        } catch let refusal as Refusal {
            try await note(refusal, code: code, from: address)
            throw refusal
        }
    }

    /// A refusal rolls its transaction back. Wrong codes from one address cause one event an hour, and so does a code
    /// that is no longer valid.
    private func note(_ refusal: Refusal, code: String, from address: String) async throws {
        let found = try await database.read { try EnrolmentCode.known(code, in: $0) }
        guard refusals.take(found?.id ?? address) else { return }
        try await database.write { database in
            let actor = Audit.Actor(id: "", name: "a machine", credential: "enrolment code", address: address)
            try Audit.record(
                .machineEnrolled, target: "", detail: refusal.message, result: .refused, actor: actor, now: .now(),
                in: database.tenant(found?.organisationId ?? Audit.appliance))
        }
    }

    /// Enrols a machine for the caller.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func enrol(_ enrolment: Machine.Enrolment, by caller: Caller) async throws -> Machine {
        do {
            return enrolled(
                try await database.write { try Machine.enrol(enrolment, by: caller, now: .now(), in: $0) })
        } catch let refusal as Refusal {
            try await database.write { database in
                guard try Organisation.find(id: caller.organisationId, in: database) != nil else { return }
                try Audit.record(
                    .machineEnrolled, target: "", detail: refusal.message, result: .refused, by: caller, now: .now(),
                    in: database.tenant(caller.organisationId))
            }
            throw refusal
        }
    }

    /// An open link was admitted for the person who had enrolled the machine before.
    private func enrolled(_ machine: Machine) -> Machine {
        server.replace(machine: machine.id, reason: "\(machine.name) was enrolled again.")
        return machine
    }

    // MARK: Changing

    /// - Throws: ``Refusal``; ``StorageError``.
    public func rename(_ named: String, to name: String, by caller: Caller) async throws {
        let id = try await database.write { database in
            let machine = try Self.managed(named, by: caller, in: database)
            let scope = database.tenant(machine.organisationId)
            try Machine.rename(id: machine.id, to: name, in: scope)
            try Audit.record(
                .machineRenamed, target: machine.id, detail: "\(machine.name) is now named \(name)", by: caller,
                now: .now(),
                in: scope)
            return machine.id
        }
        server.renamed(machine: id, to: name)
    }

    /// Revokes a machine and ends its link now.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func revoke(_ named: String, by caller: Caller) async throws {
        let machine = try await database.write(essential: true) { database in
            let machine = try Self.managed(named, by: caller, in: database)
            let scope = database.tenant(machine.organisationId)
            if try Machine.revoke(id: machine.id, now: .now(), in: scope) {
                try Audit.record(
                    .machineRevoked, target: machine.id, detail: machine.name, by: caller, now: .now(), in: scope)
            }
            return machine
        }
        server.cut(machine: machine.id, reason: "\(machine.name) was revoked by \(caller.user.username).")
    }

    // MARK: Upkeep

    /// Called after a start: every admitted machine gets its time to reconnect.
    /// - Throws: ``StorageError``.
    public func load() async throws {
        try await database.write(essential: true) { try Machine.markAllLost(now: .now(), in: $0) }
    }

    /// Stores which machines are connected.
    /// - Throws: ``StorageError``.
    public func upkeep() async throws {
        let online = Array(server.machines().keys)
        guard !online.isEmpty else { return }
        try await database.write(essential: true) { try Machine.markSeen(online, now: .now(), in: $0) }
    }
}
