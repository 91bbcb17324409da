public import Database
public import Limits
public import Link
public import Logging
import Model
import NIOCore
public import Storage
public import Tunnels
public import Wire

/// Implements the edge's authority with accounts and the database.
public struct DatabaseTunnelAuthority: TunnelAuthority {
    public let database: Database
    public let authenticator: Authenticator
    /// Limits how many links one address may try to open.
    public let limiter: RateLimiter
    /// Whether pages of accounts that nobody has vouched for are shown behind a warning.
    public let warnsOfStrangers: Bool
    /// The ports that TCP tunnels may use now.
    public let ports: ClosedRange<Int>?
    /// Whether names below a domain can be assigned.
    public let hasDomain: Bool
    let duplicated: DuplicateMachines
    public let logger: Logger
    /// Limits the refusals of one key in the audit log.
    let refusals = OnceInAWhile(.hours(1))

    public init(
        database: Database, authenticator: Authenticator, limiter: RateLimiter, warnsOfStrangers: Bool,
        ports: ClosedRange<Int>?, hasDomain: Bool, duplicated: DuplicateMachines, logger: Logger
    ) {
        self.hasDomain = hasDomain
        self.duplicated = duplicated
        self.ports = ports
        self.database = database
        self.authenticator = authenticator
        self.limiter = limiter
        self.warnsOfStrangers = warnsOfStrangers
        self.logger = logger
    }

    public func admit(token: String, from address: String) async -> Result<any LinkSession, LinkError> {
        let key = ClientAddress(address)?.key ?? address
        if let wait = limiter.take(key) {
            return .failure(LinkError(.busy, "Too many connections from this address; try again in \(wait) s."))
        }
        do {
            guard let caller = try await authenticator.caller(token: token, address: key) else {
                return .failure(
                    LinkError(
                        .unauthorized, "The server does not accept your token; run 'postern login' with a new one."))
            }
            _ = try await database.read { try caller.member(may: .tunnelCreate, in: $0) }
            return .success(
                DatabaseLinkSession(
                    caller: caller, database: database, warnsOfStrangers: warnsOfStrangers, ports: ports,
                    hasDomain: hasDomain, logger: logger))
        } catch let refusal as Refusal {
            return .failure(LinkError(.unauthorized, refusal.message))
        } catch {
            logger.error("cannot authenticate a connection", metadata: ["error": "\(error)"])
            return .failure(LinkError(.busy, "The server cannot check your token now; try again in a moment."))
        }
    }
}

/// A link with the credential that admitted it.
struct DatabaseLinkSession: LinkSession {
    let caller: Caller
    let database: Database
    let warnsOfStrangers: Bool
    let ports: ClosedRange<Int>?
    let hasDomain: Bool
    let logger: Logger

    var userId: String { caller.user.id }
    var organisationId: String { caller.organisationId }
    var credentialId: String? { caller.credential.id }

    func start(tunnel id: String, usesAddressLists: Bool) async -> Result<TunnelGrant, TunnelRefusal> {
        await start(tunnel: id, usesAddressLists: usesAddressLists, machine: nil)
    }

    /// - Parameter machine: the enrolled machine to which the tunnel must belong. Nil for a command.
    func start(
        tunnel id: String, usesAddressLists: Bool, machine: String?
    ) async -> Result<TunnelGrant, TunnelRefusal> {
        do {
            return .success(
                try await database.write { database in
                    guard try caller.isStillGood(now: .now(), in: database) else { throw Refusal.unauthorized }
                    return try Self.grant(
                        id, to: caller, of: machine, usesAddressLists: usesAddressLists, warnsOfStrangers, ports: ports,
                        now: .now(),
                        in: database)
                })
        } catch let refusal as Refusal {
            return .failure(TunnelRefusal(ErrorResource(refusal)))
        } catch {
            logger.error("cannot start a tunnel", metadata: ["error": "\(error)"])
            return .failure(TunnelRefusal(503, code: "busy", "The server cannot look up the tunnel now; try again."))
        }
    }

    private static func grant(
        _ id: String, to caller: Caller, of machine: String?, usesAddressLists: Bool, _ warnsOfStrangers: Bool,
        ports: ClosedRange<Int>?,
        now: Timestamp,
        in database: Transaction
    ) throws -> TunnelGrant {
        let member = try caller.member(may: .tunnelCreate, in: database)
        let scope = database.tenant(member.organisation.id)
        guard let tunnel = try Tunnel.find(id: id, in: scope) else {
            throw Refusal(.notFound, "There is no such tunnel.")
        }
        guard machine == nil || tunnel.machineId == machine else {
            throw Refusal(
                .notAllowed, "\(tunnel.place) is not one of this machine's tunnels; its agent must declare it first.")
        }
        guard tunnel.userId == caller.user.id || member.may(.tunnelManage) else {
            throw Refusal(.notAllowed, "The tunnel \(tunnel.place) belongs to somebody else.")
        }
        guard !tunnel.isPaused else { throw tunnel.pausedRefusal }
        if let port = tunnel.port, ports?.contains(port) != true {
            throw Refusal(
                .tunnelsOff,
                "Port \(port) is no longer available for tunnels; the server's owner has changed tunnel-ports.")
        }
        let allowance = caller.allowance(in: member.organisation, database)
        if usesAddressLists { try Tunnel.checkAddressLists(allowance, in: database) }
        let limit = try Tunnel.connectionLimit(allowance)
        try Audit.record(.tunnelConnected, target: id, detail: tunnel.place, by: caller, now: now, in: scope)
        try Tunnel.markSeen([id], now: now, in: database)
        return TunnelGrant(
            id: id, organisationId: tunnel.organisationId, kind: tunnel.kind, name: tunnel.name, port: tunnel.port,
            connectionLimit: limit?.value, plan: limit?.plan, isKept: tunnel.isKept,
            warns: try warnsOfStrangers && !isVouchedFor(caller.user, in: database), totals: TunnelTotals(tunnel.usage))
    }

    /// Whether somebody else has verified this person: by a verified mail address, by another provider, or because the
    /// person is the server's own administrator.
    private static func isVouchedFor(_ user: User, in database: Transaction) throws -> Bool {
        if user.isAdmin || user.emailVerifiedAt != nil { return true }
        return try !ExternalIdentity.list(of: user.id, in: database).isEmpty
    }

    func refusal(of id: String, usesAddressLists: Bool) async -> TunnelRefusal? {
        await refusal(of: id, usesAddressLists: usesAddressLists, machine: nil)
    }

    func refusal(of id: String, usesAddressLists: Bool, machine: String?) async -> TunnelRefusal? {
        do {
            return try await database.read { database in
                let member = try caller.member(may: .tunnelCreate, in: database)
                guard let tunnel = try Tunnel.find(id: id, in: database.tenant(caller.organisationId)),
                    machine == nil || tunnel.machineId == machine
                else { throw Refusal(.notFound, "There is no such tunnel.") }
                if usesAddressLists {
                    try Tunnel.checkAddressLists(caller.allowance(in: member.organisation, database), in: database)
                }
                return tunnel.isPaused ? TunnelRefusal(ErrorResource(tunnel.pausedRefusal)) : nil
            }
        } catch let refusal as Refusal {
            return TunnelRefusal(ErrorResource(refusal))
        } catch { return TunnelRefusal(503, code: "busy", "The server cannot look up the tunnel now; try again.") }
    }

    func isStillGood() async -> Bool { await isStillGood(for: .tunnelCreate) }

    func isStillGood(for key: PermissionKey) async -> Bool {
        do {
            return try await database.read { database in
                guard try caller.isStillGood(now: .now(), in: database) else { return false }
                _ = try caller.member(may: key, in: database)
                return true
            }
        } catch is Refusal {
            return false
        } catch {
            // If the database does not answer, the link stays open.
            return true
        }
    }

    func ended(tunnel id: String, totals: TunnelTotals, isStopped: Bool) async -> Bool {
        do {
            try await database.write(essential: true) { database in
                let now = Timestamp.now()
                try UsageLedger.settleTunnels([id: TunnelUsage(totals)], now: now, in: database)
                try Tunnel.markSeen([id], now: now, in: database)
                guard isStopped, let tunnel = try Tunnel.findAnywhere(id: id, in: database), !tunnel.isKept else {
                    return
                }
                let scope = database.tenant(tunnel.organisationId)
                if try Tunnel.release(id: id, now: now, in: scope) {
                    try Audit.record(
                        .tunnelReleased, target: id, detail: tunnel.place, actor: .server, now: now, in: scope)
                }
            }
            return true
        } catch {
            logger.error("cannot write a tunnel's usage", metadata: ["error": "\(error)"])
            return false
        }
    }
}

extension TunnelTotals {
    init(_ usage: TunnelUsage) {
        self.init(
            requests: usage.requests, bytes: usage.bytes, connections: usage.connections, errors: usage.errors)
    }
}

extension TunnelUsage {
    public init(_ totals: TunnelTotals) {
        self.init(
            requests: totals.requests, bytes: totals.bytes, connections: totals.connections, errors: totals.errors)
    }
}

extension ErrorResource {
    /// Converts a refusal for programs.
    public init(_ refusal: Refusal) {
        self.init(statusCode: refusal.code.kind.statusCode, message: refusal.message, code: refusal.code.rawValue)
        limit = refusal.limit
        current = refusal.current
        plan = refusal.plan?.rawValue
    }
}

extension Refusal.Code.Kind {
    /// RFC 9110, section 15.5, and RFC 6585 for the last status.
    var statusCode: Int {
        switch self {
        case .invalid: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .gone: 410
        case .tooMany: 429
        }
    }
}
