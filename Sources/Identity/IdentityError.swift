/// What went wrong with proving who somebody is, as opposed to an answer of no.
public struct IdentityError: Error, Sendable, CustomStringConvertible {
    /// Stable words; logs and the API's error body use them.
    public enum Code: String, Sendable {
        /// Too many at once, or a neighbour that does not answer.
        case unavailable = "identity_unavailable"
        /// The provider said something that cannot be right.
        case provider = "provider_error"
        /// Mail was not taken.
        case mail = "mail_failed"
    }

    public let code: Code
    /// One sentence that names the remedy where there is one.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "\(code.rawValue): \(message)" }
}
