public import Model

/// Why a client command stops: one sentence that says what to do, and the documented exit status.
public struct ClientError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Exit statuses of every verb.
    public enum Status: Int32, Sendable {
        case refused = 1
        case usage = 2
        /// A temporary failure: the server is down or busy.
        case tryAgain = 75
    }

    public let message: TerminalText
    public let status: Status

    public init(_ message: TerminalText, status: Status = .refused) {
        self.message = message
        self.status = status
    }

    public var description: String { message.text }
}
