/// Why a link ends, as `GOAWAY` says it.
public struct LinkError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Stable words; a program may decide by them.
    public struct Code: Sendable, Hashable {
        public let rawValue: String

        public init(_ rawValue: String) { self.rawValue = rawValue }

        /// A frame that the protocol does not allow.
        public static let protocolError = Code("protocol_error")
        /// More bytes than were granted.
        public static let flowControl = Code("flow_control")
        /// More frames of one kind in a second than anybody needs.
        public static let flood = Code("flood")
        /// The other side was silent for too long.
        public static let silent = Code("silent")
        /// No `HELLO` came in time.
        public static let noHello = Code("no_hello")
        /// The token is not good (any longer), or may not do this.
        public static let unauthorized = Code("unauthorized")
        /// The server is stopping; come back.
        public static let stopping = Code("stopping")
        /// Too many links, or too many tries.
        public static let busy = Code("busy")
        /// The versions have nothing in common.
        public static let version = Code("version")
        /// The connection ended.
        public static let closed = Code("closed")
        /// The plan lets no more machines be connected at once; come back later.
        public static let exhausted = Code("RESOURCE_EXHAUSTED")
        /// A newer link of the same machine took over.
        public static let replaced = Code("replaced")
        /// The machine's key is on two machines, which throw each other out.
        public static let duplicated = Code("duplicated")
    }

    public let code: Code
    /// A sentence for people.
    public let message: String

    /// Milliseconds, where the usual wait of the code is not meant.
    private let wait: Int?

    /// - Parameter retryAfter: milliseconds; nil for the code's usual wait.
    public init(_ code: Code, _ message: String, retryAfter: Int? = nil) {
        self.code = code
        self.message = message
        wait = retryAfter
    }

    public var description: String { message }

    /// Milliseconds until it is worth coming back; nil where another try would be no better.
    public var retryAfter: Int? {
        if let wait { return wait }
        return switch code {
        case .silent, .noHello, .closed, .stopping: 0
        case .flood, .busy: 5000
        case .replaced: 1000
        case .exhausted: 30_000
        case .duplicated: 60_000
        default: nil
        }
    }
}

/// Why a stream was given up, as `RESET` says it.
public struct ResetCode: Sendable, Hashable {
    public let rawValue: UInt32

    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// Whoever wanted the bytes does not want them any more.
    public static let cancelled = ResetCode(1)
    /// The socket behind the stream broke.
    public static let broken = ResetCode(2)
    /// Nothing moved for 30 s while memory was short.
    public static let stalled = ResetCode(3)
    /// The tunnel was stopped, or paused.
    public static let stopped = ResetCode(4)
    /// The other side does not know the stream.
    public static let unknown = ResetCode(5)
    /// The link ended.
    public static let gone = ResetCode(6)
}
