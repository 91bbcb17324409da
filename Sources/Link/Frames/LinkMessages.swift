public import NIOCore
public import Wire

/// The machine's first frame.
public struct LinkHello: Codable, Sendable, Equatable {
    /// Versions of the protocol that the machine speaks.
    public var versions: [Int]
    /// Name and version of the program, shown to the owner.
    public var software: String
    /// A bearer token, if no client certificate identifies the machine.
    public var token: String?
    /// A random value that is the same for all links of one run of the program. A new link takes over what the last one
    /// served.
    public var instance: String
    /// Bytes that a stream of the server may send before it has received any credit.
    public var credit: Int
    /// Capabilities of the machine beyond the version.
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
    /// The link's id, which a resume refers to.
    public var link: String
    /// Increases with each resume.
    public var generation: Int
    /// Bytes that a stream of the machine may send before it has received any credit.
    public var credit: Int
    /// Streams that may be open at once.
    public var maxStreams: Int
    /// After the connection is lost, the first attempt is made within this many milliseconds, so that machines do not
    /// all reconnect at once.
    public var spread: Int
    public var capabilities: [String]
    /// SHA-256 of the public key that the server's links will use later, as `sha256:…`; nil if the key stays. It is
    /// announced under the current key, so that a machine can trust it.
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

/// The purpose of a stream.
public struct LinkOpen: Codable, Sendable, Equatable {
    /// `tunnel` in this version.
    public var kind: String
    /// The tunnel's id.
    public var tunnel: String
    /// The visitor's address with its port, as in `203.0.113.7:51234`.
    public var peer: String
    /// The name or port that the visitor requested.
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

/// Why a stream is rejected.
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

/// The end of a link, and its reason.
public struct LinkGoAway: Codable, Sendable, Equatable {
    public var code: String
    public var message: String
    /// Milliseconds to wait before the next attempt; nil if another attempt is of no use.
    public var retryAfter: Int?

    public init(code: LinkError.Code, message: String, retryAfter: Int? = nil) {
        self.code = code.rawValue
        self.message = message
        self.retryAfter = retryAfter
    }
}
