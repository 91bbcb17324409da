/// Why bytes are no HTTP/1.1 message, or none that can be forwarded safely.
public struct HTTPMessageError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The grammar of RFC 9112 is broken, or its framing is ambiguous.
        case malformed
        /// The head is longer than is allowed, or has too many fields.
        case headTooLarge
        /// A version that is not 1.0 or 1.1.
        case version
        /// A transfer coding that is not known here.
        case coding
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
