/// Why a request failed. Errors of the socket and of TLS are NIO's errors and ``TLSError``.
public enum OutboundError: Error, Sendable, Equatable {
    /// The answer's body is longer than the caller takes.
    case tooLong
    /// The deadline passed.
    case timeout
    /// The connection ended before the answer was whole.
    case closed
    /// The proxy did not open a tunnel; its status line.
    case proxy(String)
    /// The host's address is not one that may be used.
    case address
    /// The client was shut down.
    case stopped
}
