public import Link
public import Model
public import Wire

/// The edge's interface to accounts and tables. The edge itself knows neither.
public protocol TunnelAuthority: Sendable {
    /// Returns the session for a link that is opened with this token.
    func admit(token: String, from address: String) async -> Result<any LinkSession, LinkError>
    /// Returns the session of the enrolled machine with this key.
    /// - Parameters:
    ///   - key: SHA-256 of its public key, 64 hexadecimal digits.
    ///   - link: the link's id.
    ///   - software: name and version of its program.
    func admit(
        machine key: String, link: String, software: String, from address: String
    ) async -> Result<any MachineSession, LinkError>
}

/// The session of an enrolled machine's link.
public protocol MachineSession: LinkSession {
    var machineId: String { get }
    var machineName: String { get }

    /// Returns the machine's tunnel with this label, and what visitors are told while nothing serves it. Creates the
    /// tunnel if there is none.
    func declare(_ label: String, _ wanted: NewTunnel) async -> Result<(DeclaredTunnel, KnownTunnel), TunnelRefusal>
    /// The machine's tunnels by id, one page at a time.
    /// - Parameter after: the last id of the previous page, or empty.
    func declared(after: String) async -> Result<[DeclaredTunnel], TunnelRefusal>
    /// Releases one of the machine's tunnels.
    /// - Returns: the released tunnel.
    func release(tunnel id: String) async -> Result<DeclaredTunnel, TunnelRefusal>
    /// Replaces the machine's key.
    /// - Parameter key: SHA-256 of the public key. The caller has proved that the machine has it.
    /// - Returns: nil on success.
    func rekey(to key: String) async -> TunnelRefusal?
    /// The link has ended.
    /// - Parameters:
    ///   - isFinal: the machine announced that it stops.
    ///   - other: the id of another link of the machine that stays open.
    func linkEnded(isFinal: Bool, other: String?) async
    /// Two machines have the same key.
    func isDuplicated(from addresses: [String]) async
}

/// The session of one link.
public protocol LinkSession: Sendable {
    var userId: String { get }
    var organisationId: String { get }
    /// The credential that admitted the link, as a revocation names it. Nil if nothing can revoke it.
    var credentialId: String? { get }

    /// Whether this link may serve a tunnel.
    /// - Parameter usesAddressLists: the tunnel's options check visitors' addresses.
    func start(tunnel id: String, usesAddressLists: Bool) async -> Result<TunnelGrant, TunnelRefusal>
    /// Whether a tunnel may still be served. Called once more after everybody who could end the tunnel can find it, and
    /// when its options change.
    /// - Returns: nil if it may.
    func refusal(of tunnel: String, usesAddressLists: Bool) async -> TunnelRefusal?
    /// Whether the link is still admitted.
    func isStillGood() async -> Bool
    /// A tunnel is no longer served. Returns when its totals are durable.
    /// - Parameters:
    ///   - totals: of all time.
    ///   - isStopped: the command ended the tunnel. Otherwise the link was lost and may return.
    /// - Returns: whether the totals are durable.
    func ended(tunnel id: String, totals: TunnelTotals, isStopped: Bool) async -> Bool
}

/// The traffic of a tunnel, of all time.
public struct TunnelTotals: Sendable, Equatable {
    public var requests: Int
    public var bytes: Int
    public var connections: Int
    /// Requests that failed: statuses from 500 on.
    public var errors: Int

    public init(requests: Int, bytes: Int, connections: Int, errors: Int = 0) {
        self.errors = errors
        self.requests = requests
        self.bytes = bytes
        self.connections = connections
    }

    /// The larger value of each pair: totals never decrease.
    func atLeast(_ other: TunnelTotals) -> TunnelTotals {
        TunnelTotals(
            requests: max(requests, other.requests), bytes: max(bytes, other.bytes),
            connections: max(connections, other.connections), errors: max(errors, other.errors))
    }
}

/// A tunnel that a link may serve.
public struct TunnelGrant: Sendable {
    public let id: String
    public let organisationId: String
    public let kind: TunnelKind
    /// The name below the tunnel domain, for `http` and `tls`.
    public let name: String?
    /// The port, for `tcp`.
    public let port: Int?
    /// The maximum number of visitors' connections at once. Nil if the plan does not limit them.
    public let connectionLimit: Int?
    /// The plan that sets the limit.
    public let plan: String?
    /// Whether the tunnel stays known when its command ends.
    public let isKept: Bool
    /// Whether visitors' browsers are warned once: nobody has vouched for the owner.
    public let warns: Bool
    /// The tunnel's totals so far.
    public let totals: TunnelTotals

    public init(
        id: String, organisationId: String, kind: TunnelKind, name: String?, port: Int?, connectionLimit: Int?,
        plan: String?, isKept: Bool, warns: Bool, totals: TunnelTotals
    ) {
        self.id = id
        self.organisationId = organisationId
        self.kind = kind
        self.name = name
        self.port = port
        self.connectionLimit = connectionLimit
        self.plan = plan
        self.isKept = isKept
        self.warns = warns
        self.totals = totals
    }
}

/// The reason why a link may not serve a tunnel.
public struct TunnelRefusal: Error, Sendable {
    public let resource: ErrorResource

    public init(_ resource: ErrorResource) { self.resource = resource }

    public init(_ statusCode: Int, code: String, _ message: String) {
        resource = ErrorResource(statusCode: statusCode, message: message, code: code)
    }
}

/// The links that must be closed because their credential is no longer valid.
public enum RevokedLinks: Sendable, Equatable {
    case credential(String)
    case user(String)
    case member(organisationId: String, userId: String)
}
