/// Why a link ends, as `GOAWAY` reports it.
public struct LinkError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Stable codes that programs may depend on.
    public struct Code: Sendable, Hashable {
        public let rawValue: String

        public init(_ rawValue: String) { self.rawValue = rawValue }

        /// A frame that the protocol does not allow.
        public static let protocolError = Code("protocol_error")
        /// More bytes than were granted.
        public static let flowControl = Code("flow_control")
        /// More frames of one kind in a second than the limit.
        public static let flood = Code("flood")
        /// The peer was silent for too long.
        public static let silent = Code("silent")
        /// No `HELLO` came in time.
        public static let noHello = Code("no_hello")
        /// The token is not valid (any longer), or does not permit this.
        public static let unauthorized = Code("unauthorized")
        /// The server is stopping; reconnect later.
        public static let stopping = Code("stopping")
        /// Too many links, or too many tries.
        public static let busy = Code("busy")
        /// The two sides have no protocol version in common.
        public static let version = Code("version")
        /// The connection ended.
        public static let closed = Code("closed")
        /// The plan's limit of connected machines is reached; try again later.
        public static let exhausted = Code("RESOURCE_EXHAUSTED")
        /// A newer link of the same machine took over.
        public static let replaced = Code("replaced")
        /// Two machines have the same key and disconnect each other.
        public static let duplicated = Code("duplicated")
    }

    public let code: Code
    /// A sentence for people.
    public let message: String

    /// Milliseconds, if they differ from the code's usual wait.
    private let wait: Int?

    /// - Parameter retryAfter: milliseconds; nil for the code's usual wait.
    public init(_ code: Code, _ message: String, retryAfter: Int? = nil) {
        self.code = code
        self.message = message
        wait = retryAfter
    }

    public var description: String { message }

    /// Milliseconds to wait before the next attempt; nil if another attempt would fail as well.
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

/// Why a stream was aborted, as `RESET` reports it.
public struct ResetCode: Sendable, Hashable {
    public let rawValue: UInt32

    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// The receiver does not want the bytes any more.
    public static let cancelled = ResetCode(1)
    /// The socket behind the stream failed.
    public static let broken = ResetCode(2)
    /// There was no progress for 30 s while memory was short.
    public static let stalled = ResetCode(3)
    /// The tunnel was stopped or paused.
    public static let stopped = ResetCode(4)
    /// The stream is not known.
    public static let unknown = ResetCode(5)
    /// The link ended.
    public static let gone = ResetCode(6)
}
