public import Link
public import Model
public import Wire

/// The edge's interface to accounts and tables. The edge itself knows neither.
public protocol TunnelAuthority: Sendable {
    /// Who opens a link with this token?
    func admit(token: String, from address: String) async -> Result<any LinkSession, LinkError>
    /// Which enrolled machine has this key?
    /// - Parameters:
    ///   - key: SHA-256 of its public key, 64 hexadecimal digits.
    ///   - link: the link's id.
    ///   - software: name and version of its program.
    func admit(
        machine key: String, link: String, software: String, from address: String
    ) async -> Result<any MachineSession, LinkError>
}

/// An enrolled machine's link, as long as it lasts.
public protocol MachineSession: LinkSession {
    var machineId: String { get }
    var machineName: String { get }

    /// The tunnel that the machine calls by this label, and what visitors are told while nothing serves it; made where there is none.
    func declare(_ label: String, _ wanted: NewTunnel) async -> Result<(DeclaredTunnel, KnownTunnel), TunnelRefusal>
    /// The machine's tunnels by id, a page at a time.
    /// - Parameter after: the last id of the page before, or empty.
    func declared(after: String) async -> Result<[DeclaredTunnel], TunnelRefusal>
    /// Gives one of them up.
    /// - Returns: the tunnel that it was.
    func release(tunnel id: String) async -> Result<DeclaredTunnel, TunnelRefusal>
    /// A key that takes the machine's over.
    /// - Parameter key: SHA-256 of the public key; whoever asks has shown that the machine has it.
    /// - Returns: nil where it is done.
    func rekey(to key: String) async -> TunnelRefusal?
    /// The link has ended.
    /// - Parameters:
    ///   - isFinal: the machine said that it stops.
    ///   - other: the id of another link of the machine, which goes on.
    func linkEnded(isFinal: Bool, other: String?) async
    /// The machine's key is on two machines.
    func isDuplicated(from addresses: [String]) async
}

/// Somebody's link, as long as it lasts.
public protocol LinkSession: Sendable {
    var userId: String { get }
    var organisationId: String { get }
    /// What let it in, as a revocation names it; nil where nothing can revoke it.
    var credentialId: String? { get }

    /// May this link serve a tunnel?
    /// - Parameter usesAddressLists: the tunnel is told to look at visitors' addresses.
    func start(tunnel id: String, usesAddressLists: Bool) async -> Result<TunnelGrant, TunnelRefusal>
    /// Whether a tunnel may still be served: asked once more when it is known to everybody who could end it, and when its options change.
    /// - Returns: nil where it may.
    func refusal(of tunnel: String, usesAddressLists: Bool) async -> TunnelRefusal?
    /// Whether the link is still let in.
    func isStillGood() async -> Bool
    /// A tunnel is served no more. Answers when what it carried is durable.
    /// - Parameters:
    ///   - totals: of all time.
    ///   - isStopped: the command ended it; otherwise the link was lost, and may come back.
    /// - Returns: whether the totals are durable.
    func ended(tunnel id: String, totals: TunnelTotals, isStopped: Bool) async -> Bool
}

/// What a tunnel carried, of all time.
public struct TunnelTotals: Sendable, Equatable {
    public var requests: Int
    public var bytes: Int
    public var connections: Int

    public init(requests: Int, bytes: Int, connections: Int) {
        self.requests = requests
        self.bytes = bytes
        self.connections = connections
    }

    /// The larger of each: totals never go down.
    func atLeast(_ other: TunnelTotals) -> TunnelTotals {
        TunnelTotals(
            requests: max(requests, other.requests), bytes: max(bytes, other.bytes),
            connections: max(connections, other.connections))
    }
}

/// A tunnel that a link may serve.
public struct TunnelGrant: Sendable {
    public let id: String
    public let organisationId: String
    public let kind: TunnelKind
    /// Below the tunnel domain: `http` and `tls`.
    public let name: String?
    /// Of `tcp`.
    public let port: Int?
    /// Visitors' connections at once; nil where the plan does not limit them.
    public let connectionLimit: Int?
    /// The plan that sets it.
    public let plan: String?
    /// Stays known when its command ends.
    public let isKept: Bool
    /// Visitors' browsers are warned once: nobody has vouched for its owner.
    public let warns: Bool
    /// What the tunnel has carried before.
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

/// Why a link may not serve a tunnel.
public struct TunnelRefusal: Error, Sendable {
    public let resource: ErrorResource

    public init(_ resource: ErrorResource) { self.resource = resource }

    public init(_ statusCode: Int, code: String, _ message: String) {
        resource = ErrorResource(statusCode: statusCode, message: message, code: code)
    }
}

/// Whose links must go, because what let them in is not good any more.
public enum RevokedLinks: Sendable, Equatable {
    case credential(String)
    case user(String)
    case member(organisationId: String, userId: String)
}
