public import Model

// What a machine and the server say to each other about tunnels, in `CALL` and `ANSWER` frames of the link.

/// How one tunnel treats its visitors, for as long as its command runs. Nothing of it is stored.
public struct TunnelOptions: Codable, Sendable, Equatable {
    /// `NAME:PASSWORD` pairs, one of which a visitor must send (RFC 7617).
    public var basicAuth: [String]?
    /// Networks whose visitors are let in, as in `203.0.113.0/24`; nil lets everybody in.
    public var allow: [String]?
    /// Networks whose visitors are refused.
    public var deny: [String]?
    /// What the service gets as `Host`; nil for what the visitor asked for.
    public var hostHeader: String?
    /// Only requests for this path and what is below it are let through.
    public var path: String?
    /// Seconds that an unused connection to the service is kept.
    public var keepAlive: Int?
    /// Seconds that the service may take to begin its answer.
    public var headTimeout: Int?
    /// Whether the machine wants to hear of each request.
    public var reportsRequests: Bool?

    public init() {}
}

/// What one side of a link asks the other.
public struct LinkCall: Codable, Sendable {
    public enum Verb: String, Codable, Sendable {
        /// The machine serves a tunnel from now on.
        case start = "tunnel.start"
        /// The machine serves it no more.
        case stop = "tunnel.stop"
        /// The server has ended it; the reason is a sentence.
        case ended = "tunnel.ended"
        /// Requests that were answered.
        case requests = "tunnel.requests"
        /// An enrolled machine declares a tunnel: the answer names it, and it is not served yet.
        case declare = "tunnel.declare"
        /// An enrolled machine asks what it has declared.
        case declared = "tunnel.declared"
        /// An enrolled machine gives a tunnel up.
        case release = "tunnel.release"
        /// How an enrolled machine is doing.
        case report = "machine.report"
        /// Another key takes an enrolled machine's over.
        case rekey = "machine.rekey"
    }

    public var call: Verb
    /// The tunnel's id; empty where the call is about none.
    public var tunnel: String
    public var options: TunnelOptions?
    public var reason: String?
    public var requests: [TunnelRequest]?
    /// Requests that there was no room to report.
    public var dropped: Int?
    /// With `tunnel.declare`.
    public var wanted: NewTunnel?
    public var label: String?
    /// With `machine.report`.
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
    /// Nil where it was done.
    public var error: ErrorResource?
    /// Of `tunnel.declare` and `tunnel.declared`.
    public var tunnels: [DeclaredTunnel]?
    /// Of `machine.report`: what the machine is called.
    public var machine: String?

    public init(error: ErrorResource? = nil) { self.error = error }
}

// The REST resources.

/// `POST /tunnels` asks with this.
public struct NewTunnel: Codable, Sendable, Equatable {
    public var kind: TunnelKind
    /// Nil for three random words.
    public var name: String?
    /// Of a `tcp` tunnel; nil for a free one.
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
    /// Where visitors reach it.
    public var url: String
    /// `online`, `offline` or `paused`.
    public var state: String
    public var owner: String
    /// Whether the name or port stays when the command ends.
    public var kept: Bool
    public var createdAt: String
    @NullWhenAbsent public var lastSeenAt: String?
    /// Visitors' connections now.
    public var connections: Int
    /// Of all time.
    public var requests: Int
    public var bytes: Int
    /// Whether the certificate that visitors are shown is one that browsers trust.
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
    /// As ALPN spells it.
    public var `protocol`: String
    /// SHA-256 of the public key that the server's end of the link carries.
    public var key: String

    public init(protocol name: String, key: String) {
        `protocol` = name
        self.key = key
    }
}
