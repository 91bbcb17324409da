/// Why bytes are not an HTTP/1.1 message, or not one that can be forwarded safely.
public struct HTTPMessageError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The grammar of RFC 9112 is broken, or its framing is ambiguous.
        case malformed
        /// The head is longer than is allowed, or has too many fields.
        case headTooLarge
        /// The version is neither 1.0 nor 1.1.
        case version
        /// The transfer coding is not supported.
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
