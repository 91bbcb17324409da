import Database
import Limits
public import Link
import Logging
import Model
import Storage
public import Tunnels
import Wire

extension DatabaseTunnelAuthority {
    public func admit(
        machine key: String, link: String, software: String, from address: String
    ) async -> Result<any MachineSession, LinkError> {
        let source = ClientAddress(address)?.key ?? address
        do {
            // A machine has its own rate limit, even if others share its address. A stranger uses the limit of its address.
            let known = try await database.read { try Machine.known(key: key, in: $0) }
            if let wait = limiter.take(known.map { "machine \($0.id)" } ?? source) {
                return .failure(
                    LinkError(.busy, "Too many connections; try again in \(wait) s.", retryAfter: wait * 1000))
            }
            guard known != nil else { throw Refusal.machineUnknown }
            let (machine, caller) = try await database.write {
                try Machine.connect(key: key, link: link, from: source, software: software, now: .now(), in: $0)
            }
            return .success(
                DatabaseMachineSession(
                    machine: machine, linkId: link,
                    link: DatabaseLinkSession(
                        caller: caller, database: database, warnsOfStrangers: warnsOfStrangers, ports: ports,
                        hasDomain: hasDomain, logger: logger), told: duplicated))
        } catch let refusal as Refusal {
            await note(refusal, key: key, from: source)
            let code: LinkError.Code = refusal.code == .hostLimit ? .exhausted : .unauthorized
            return .failure(LinkError(code, refusal.message))
        } catch {
            logger.error("cannot authenticate a machine", metadata: ["error": "\(error)"])
            return .failure(LinkError(.busy, "The server cannot look up this machine now; try again in a moment."))
        }
    }

    /// A machine that retries repeatedly causes one event an hour, and so do all strangers at one address.
    private func note(_ refusal: Refusal, key: String, from address: String) async {
        let isUnknown = refusal.code == .machineUnknown
        guard refusals.take(isUnknown ? address : "\(key) \(refusal.code.rawValue)") else { return }
        do {
            try await database.write { database in
                let machine = isUnknown ? nil : try Machine.known(key: key, in: database)
                let actor = Audit.Actor(
                    id: "", name: machine?.name ?? "a machine", credential: "key \(key.prefix(16))", address: address)
                try Audit.record(
                    .machineConnected, target: machine?.id ?? "", detail: refusal.message, result: .refused,
                    actor: actor, now: .now(), in: database.tenant(machine?.organisationId ?? Audit.appliance))
            }
        } catch { logger.error("cannot record a refused machine in the audit log", metadata: ["error": "\(error)"]) }
    }
}

/// An enrolled machine's link.
struct DatabaseMachineSession: MachineSession {
    /// The number of attempts to find a random name.
    private static let nameAttempts = 8
    /// The number of tunnels in one response, which is at most 64 KiB long.
    private static let pageSize = 100

    let machine: Machine
    let linkId: String
    let link: DatabaseLinkSession
    /// Notified of a key that two machines have.
    let told: DuplicateMachines

    var userId: String { link.userId }
    var organisationId: String { link.organisationId }
    var credentialId: String? { link.credentialId }
    var machineId: String { machine.id }
    var machineName: String { machine.name }

    func start(tunnel id: String, usesAddressLists: Bool) async -> Result<TunnelGrant, TunnelRefusal> {
        await link.start(tunnel: id, usesAddressLists: usesAddressLists, machine: machine.id)
    }

    func refusal(of tunnel: String, usesAddressLists: Bool) async -> TunnelRefusal? {
        await link.refusal(of: tunnel, usesAddressLists: usesAddressLists, machine: machine.id)
    }

    func isStillGood() async -> Bool {
        guard await link.isStillGood(for: .machineEnroll) else { return false }
        guard machine.allows.contains(.tunnels) else { return true }
        return await link.isStillGood(for: .tunnelCreate)
    }

    func ended(tunnel id: String, totals: TunnelTotals, isStopped: Bool) async -> Bool {
        await link.ended(tunnel: id, totals: totals, isStopped: isStopped)
    }

    // MARK: Declared tunnels

    func declare(_ label: String, _ wanted: NewTunnel) async -> Result<(DeclaredTunnel, KnownTunnel), TunnelRefusal> {
        let candidates = (0..<Self.nameAttempts).map { _ in TunnelName.random() }
        return await answered {
            guard wanted.kind == .tcp || link.hasDomain else { throw Refusal.noTunnelDomain }
            let tunnel = try await link.database.write { database in
                try Tunnel.claim(
                    .init(kind: wanted.kind, name: wanted.name, port: wanted.port, declared: (machine.id, label)),
                    by: link.caller, candidates: candidates, ports: link.ports, now: .now(), in: database)
            }
            return (
                DeclaredTunnel(tunnel), KnownTunnel(id: tunnel.id, lastSeen: tunnel.seenAt, isPaused: tunnel.isPaused)
            )
        }
    }

    func declared(after: String) async -> Result<[DeclaredTunnel], TunnelRefusal> {
        await answered {
            try await link.database.read {
                try Tunnel.page(
                    of: machine.id, after: after, limit: Self.pageSize, in: $0.tenant(organisationId)
                ).map(DeclaredTunnel.init)
            }
        }
    }

    func release(tunnel id: String) async -> Result<DeclaredTunnel, TunnelRefusal> {
        await answered {
            try await link.database.write(essential: true) { database in
                let scope = database.tenant(organisationId)
                guard let tunnel = try Tunnel.find(id: id, in: scope), tunnel.machineId == machine.id else {
                    throw Refusal(.notFound, "This machine has no such tunnel.")
                }
                if try Tunnel.release(id: id, now: .now(), in: scope) {
                    try Audit.record(
                        .tunnelReleased, target: id, detail: tunnel.place, by: link.caller, now: .now(), in: scope)
                }
                return DeclaredTunnel(tunnel)
            }
        }
    }

    // MARK: The key

    func rekey(to key: String) async -> TunnelRefusal? {
        await refused {
            try await link.database.write { database in
                guard try link.caller.isStillGood(now: .now(), in: database) else { throw Refusal.unauthorized }
                try Machine.announceKey(key, id: machine.id, in: database.tenant(organisationId))
            }
        }
    }

    // MARK: The end

    func linkEnded(isFinal: Bool, other: String?) async {
        do {
            try await link.database.write(essential: true) {
                try Machine.disconnected(
                    id: machine.id, link: linkId, isFinal: isFinal, other: other, now: .now(), in: $0)
            }
        } catch { link.logger.error("cannot record that a machine disconnected", metadata: ["error": "\(error)"]) }
    }

    func isDuplicated(from addresses: [String]) async { await told.tell(machine, of: link.caller, from: addresses) }

    private func answered<Value: Sendable>(
        _ work: () async throws -> Value
    ) async -> Result<Value, TunnelRefusal> {
        do { return .success(try await work()) } catch let refusal as Refusal {
            return .failure(TunnelRefusal(ErrorResource(refusal)))
        } catch {
            link.logger.error("a machine's call failed", metadata: ["error": "\(error)"])
            return .failure(TunnelRefusal(503, code: "busy", "The server cannot do this now; try again in a moment."))
        }
    }

    private func refused(_ work: () async throws -> Void) async -> TunnelRefusal? {
        if case .failure(let refusal) = await answered(work) { return refusal }
        return nil
    }
}

extension DeclaredTunnel {
    /// The edge adds the address.
    init(_ tunnel: Tunnel) {
        self.init(
            id: tunnel.id, label: tunnel.label, kind: tunnel.kind, name: tunnel.name, port: tunnel.port, url: "")
    }
}
