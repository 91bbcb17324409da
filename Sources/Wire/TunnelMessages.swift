public import Model

// Messages between a machine and the server about tunnels, in `CALL` and `ANSWER` frames of the link.

/// How a tunnel treats its visitors while its command runs. The options are not stored.
public struct TunnelOptions: Codable, Sendable, Equatable {
    /// Who may use the tunnel; nil allows everybody.
    public var policy: AccessPolicy?
    /// The `Host` that is sent to the service; nil sends the one that the visitor requested.
    public var hostHeader: String?
    /// If set, only requests for this path and paths below it are allowed.
    public var path: String?
    /// Seconds that an unused connection to the service is kept.
    public var keepAlive: Int?
    /// Seconds within which the service must start its answer.
    public var headTimeout: Int?
    /// Whether the machine wants a report of each request.
    public var reportsRequests: Bool?

    public init() {}
}

/// A call from one side of a link to the other.
public struct LinkCall: Codable, Sendable {
    public enum Verb: String, Codable, Sendable {
        /// The machine starts to serve a tunnel.
        case start = "tunnel.start"
        /// The machine stops serving it.
        case stop = "tunnel.stop"
        /// The server has ended it; the reason is a sentence.
        case ended = "tunnel.ended"
        /// Reports requests that were answered.
        case requests = "tunnel.requests"
        /// An enrolled machine declares a tunnel. The answer names the tunnel, which is not served yet.
        case declare = "tunnel.declare"
        /// An enrolled machine asks for its declared tunnels.
        case declared = "tunnel.declared"
        /// An enrolled machine releases a tunnel.
        case release = "tunnel.release"
        /// An enrolled machine reports its state.
        case report = "machine.report"
        /// An enrolled machine replaces its key.
        case rekey = "machine.rekey"
    }

    public var call: Verb
    /// The tunnel's id; empty if the call concerns no tunnel.
    public var tunnel: String
    public var options: TunnelOptions?
    public var reason: String?
    public var requests: [TunnelRequest]?
    /// The number of requests that could not be reported for lack of space.
    public var dropped: Int?
    /// Used with `tunnel.declare`.
    public var wanted: NewTunnel?
    public var label: String?
    /// Used with `machine.report`.
    public var report: MachineReport?
    /// With `machine.rekey`: a self-signed certificate of the new key, in PEM.
    public var certificate: String?

    public init(_ call: Verb, tunnel: String = "") {
        self.call = call
        self.tunnel = tunnel
    }
}

/// A request that was answered, as the machine's console shows it.
public struct TunnelRequest: Codable, Sendable, Equatable {
    public var method: String
    /// The path without its query, at most 256 bytes.
    public var path: String
    public var status: Int
    public var milliseconds: Int
    public var bytesIn: Int
    public var bytesOut: Int
    /// The visitor's address.
    public var from: String
    /// Milliseconds since 1970.
    public var at: Int64

    public init(
        method: String, path: String, status: Int, milliseconds: Int, bytesIn: Int, bytesOut: Int, from: String,
        at: Int64
    ) {
        self.method = method
        self.path = path
        self.status = status
        self.milliseconds = milliseconds
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.from = from
        self.at = at
    }
}

/// The answer to a ``LinkCall``.
public struct LinkAnswer: Codable, Sendable {
    /// Nil if the call succeeded.
    public var error: ErrorResource?
    /// Set for `tunnel.declare` and `tunnel.declared`.
    public var tunnels: [DeclaredTunnel]?
    /// Set for `machine.report`: the machine's name on the server.
    public var machine: String?

    public init(error: ErrorResource? = nil) { self.error = error }
}

// The REST resources.

/// The request body of `POST /tunnels`.
public struct NewTunnel: Codable, Sendable, Equatable {
    public var kind: TunnelKind
    /// Nil picks three random words.
    public var name: String?
    /// The port of a `tcp` tunnel; nil picks a free one.
    public var port: Int?

    public init(kind: TunnelKind, name: String? = nil, port: Int? = nil) {
        self.kind = kind
        self.name = name
        self.port = port
    }
}

/// A tunnel.
public struct TunnelResource: Codable, Sendable, Equatable {
    public var id: String
    public var kind: TunnelKind
    @NullWhenAbsent public var name: String?
    @NullWhenAbsent public var port: Int?
    /// The URL that visitors use.
    public var url: String
    /// `online`, `offline` or `paused`.
    public var state: String
    public var owner: String
    /// Whether the name or port remains reserved after the command ends.
    public var kept: Bool
    public var createdAt: String
    @NullWhenAbsent public var lastSeenAt: String?
    /// The current number of visitors' connections.
    public var connections: Int
    /// The total number of requests.
    public var requests: Int
    public var bytes: Int
    /// Whether browsers trust the certificate that visitors see.
    public var trusted: Bool

    public init(
        id: String, kind: TunnelKind, name: String?, port: Int?, url: String, state: String, owner: String, kept: Bool,
        createdAt: String, lastSeenAt: String?, connections: Int, requests: Int, bytes: Int, trusted: Bool
    ) {
        self.id = id
        self.kind = kind
        _name = NullWhenAbsent(wrappedValue: name)
        _port = NullWhenAbsent(wrappedValue: port)
        self.url = url
        self.state = state
        self.owner = owner
        self.kept = kept
        self.createdAt = createdAt
        _lastSeenAt = NullWhenAbsent(wrappedValue: lastSeenAt)
        self.connections = connections
        self.requests = requests
        self.bytes = bytes
        self.trusted = trusted
    }
}

/// `GET /link`: how a machine opens its link.
public struct LinkResource: Codable, Sendable, Equatable {
    /// The ALPN protocol name.
    public var `protocol`: String
    /// SHA-256 of the public key that the server's end of the link carries.
    public var key: String

    public init(protocol name: String, key: String) {
        `protocol` = name
        self.key = key
    }
}
