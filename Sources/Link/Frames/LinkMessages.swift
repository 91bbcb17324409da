public import NIOCore
public import Wire

/// The machine's first frame.
public struct LinkHello: Codable, Sendable, Equatable {
    /// Versions of the protocol that the machine speaks.
    public var versions: [Int]
    /// Name and version of the program, for the owner's eyes.
    public var software: String
    /// A bearer token, where no client certificate says who it is.
    public var token: String?
    /// Random, and the same for all links of one run of the program: a new link of it takes over what its last one served.
    public var instance: String
    /// What a stream of the server may send before it has heard anything, in bytes.
    public var credit: Int
    /// Words of what the machine can do beyond the version.
    public var capabilities: [String]

    public init(software: String, token: String?, instance: String, credit: Int = LinkLimits.initialCredit) {
        self.instance = instance
        versions = [LinkWelcome.version]
        self.software = software
        self.token = token
        self.credit = credit
        capabilities = []
    }
}

/// The server's answer to ``LinkHello``.
public struct LinkWelcome: Codable, Sendable, Equatable {
    public static let version = 1

    public var version: Int
    public var software: String
    /// The link's id, which a resume names.
    public var link: String
    /// Grows with each resume.
    public var generation: Int
    /// What a stream of the machine may send before it has heard anything, in bytes.
    public var credit: Int
    /// Streams at once.
    public var maxStreams: Int
    /// The first try after a loss is made within this many milliseconds, so that not all machines come back at once.
    public var spread: Int
    public var capabilities: [String]
    /// SHA-256 of the public key that the server's links carry one day, as `sha256:…`; nil where the present one stays. It is said under the
    /// present key, so that a machine may believe it.
    public var nextKey: String?

    public init(software: String, link: String, maxStreams: Int, spread: Int = 0, nextKey: String? = nil) {
        self.nextKey = nextKey
        version = Self.version
        self.software = software
        self.link = link
        generation = 1
        credit = LinkLimits.initialCredit
        self.maxStreams = maxStreams
        self.spread = spread
        capabilities = []
    }
}

/// What a stream is for.
public struct LinkOpen: Codable, Sendable, Equatable {
    /// `tunnel` in this version.
    public var kind: String
    /// The tunnel's id.
    public var tunnel: String
    /// The visitor's address with its port, as in `203.0.113.7:51234`.
    public var peer: String
    /// The name or port that the visitor asked for.
    public var host: String
    /// Names the request or the connection in the logs of both sides.
    public var trace: String

    public init(kind: String = "tunnel", tunnel: String, peer: String, host: String, trace: String) {
        self.kind = kind
        self.tunnel = tunnel
        self.peer = peer
        self.host = host
        self.trace = trace
    }
}

/// Why a stream is not taken.
public struct LinkRejection: Codable, Sendable, Equatable, Error {
    /// `refused` (the service), `unknown` (the tunnel), `busy` (no memory or too many streams), or a word of a newer version.
    public var code: String
    /// A sentence for people.
    public var message: String

    public init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    public static let busy = LinkRejection(
        code: "busy", message: "Too many connections at once; try again in a moment.")
}

/// The link ends, and why.
public struct LinkGoAway: Codable, Sendable, Equatable {
    public var code: String
    public var message: String
    /// Milliseconds until it is worth coming back; nil where it is not.
    public var retryAfter: Int?

    public init(code: LinkError.Code, message: String, retryAfter: Int? = nil) {
        self.code = code.rawValue
        self.message = message
        self.retryAfter = retryAfter
    }
}
