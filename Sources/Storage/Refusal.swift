/// A rule said no: the caller asked for something that a limit, a state or an owner does not allow.
///
/// Refusals are answers, made in the same transaction as the check, and safe to show to the person who asked.
public struct Refusal: Error, Sendable, Equatable {
    public enum Code: String, Sendable {
        case notFound = "not_found"
        case nameTaken = "name_taken"
        case shareLimit = "share_limit_reached"
        case codeLimit = "code_limit_reached"
        case codeDuration = "code_duration_limit"
        case viewerLimit = "viewer_limit_reached"
        case codeNotFound = "code_not_found"
        case codeRevoked = "code_revoked"
        case codeExpired = "code_expired"
        case codeUsedUp = "code_used_up"
        case sessionEnded = "session_ended"
        case setUp = "set_up"
        case lastAdministrator = "last_administrator"
        case invalid = "invalid"
        case notAllowed = "not_allowed"
        case secondFactor = "second_factor_required"
        case lastOwner = "last_owner"
        case inUse = "in_use"
        /// A bound that no plan lifts.
        case limit = "limit_reached"
        case invitation = "invitation_invalid"
        case link = "link_invalid"
        case code = "code_wrong"
        case registration = "registration_closed"
        /// No credential, or one that is not good (any longer).
        case unauthorized
        case signInFailed = "sign_in_failed"
        /// The second factor's code, while signing in; ``code`` is the same where somebody is signed in already.
        case signInCode = "sign_in_code_wrong"
        case passwordWrong = "password_wrong"
        /// An API token cannot do this.
        case signInNeeded = "sign_in_needed"
        case mailOff = "mail_off"
        /// A value that the edge should not have let through, with the field's name.
        case badRequest = "bad_request"
        case rateLimited = "rate_limited"
    }

    public let code: Code
    public let message: String
    /// The limit that was reached, the count it was compared with, and the plan that sets it.
    public let limit: Int?
    public let current: Int?
    public let plan: Plan?
    /// For ``Code/rateLimited``: whole seconds until the next attempt.
    public let retryAfter: Int?

    public init(
        _ code: Code, _ message: String, limit: Int? = nil, current: Int? = nil, plan: Plan? = nil,
        retryAfter: Int? = nil
    ) {
        self.retryAfter = retryAfter
        self.code = code
        self.message = message
        self.limit = limit
        self.current = current
        self.plan = plan
    }

    public static let unauthorized = Refusal(
        .unauthorized, "Sign in: send a valid token as 'Authorization: Bearer …'.")

    public static func badRequest(_ message: String) -> Refusal { Refusal(.badRequest, message) }

    /// - Parameter seconds: until the next attempt.
    public static func rateLimited(retryAfter seconds: Int) -> Refusal {
        Refusal(.rateLimited, "Too many requests; try again in \(seconds) s.", retryAfter: seconds)
    }
}
