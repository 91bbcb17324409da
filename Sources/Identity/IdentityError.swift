/// An error while proving somebody's identity, as opposed to a negative answer.
public struct IdentityError: Error, Sendable, CustomStringConvertible {
    /// Stable codes that logs and the API's error body use.
    public enum Code: String, Sendable {
        /// Too many requests at once, or an external server that does not answer.
        case unavailable = "identity_unavailable"
        /// The provider's answer cannot be correct.
        case provider = "provider_error"
        /// The mail server did not accept the mail.
        case mail = "mail_failed"
    }

    public let code: Code
    /// One sentence, which names the remedy if there is one.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "\(code.rawValue): \(message)" }
}
