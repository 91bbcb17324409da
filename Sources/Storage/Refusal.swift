/// A rule refused the request: a limit, a state or an owner does not allow it.
///
/// Refusals are responses. They are created in the same transaction as the check and are safe to show to the person who asked.
public struct Refusal: Error, Sendable, Equatable {
    /// The reason, for programs that distinguish refusals. Each feature declares its own.
    public struct Code: Sendable, Hashable {
        /// The kind of refusal. HTTP derives a status from it.
        public enum Kind: Sendable, Hashable {
            case invalid, unauthenticated, forbidden, notFound, conflict, gone, tooMany
        }

        /// The spelling in the API: `not_found`.
        public let rawValue: String
        public let kind: Kind

        init(_ rawValue: String, _ kind: Kind) {
            self.rawValue = rawValue
            self.kind = kind
        }

        public static let notFound = Self("not_found", .notFound)
        public static let nameTaken = Self("name_taken", .conflict)
        public static let invalid = Self("invalid", .invalid)
        /// A value that the edge should have refused, with the field's name.
        public static let badRequest = Self("bad_request", .invalid)
        public static let notAllowed = Self("not_allowed", .forbidden)
        public static let inUse = Self("in_use", .conflict)
        /// Not possible in the current state: an account's own organisation, a built-in role, a port that this server does not have.
        public static let notPossible = Self("not_possible", .conflict)
        /// A limit that is the same in all plans.
        public static let limit = Self("limit_reached", .forbidden)
        /// No credential, or one that is not valid or no longer valid.
        public static let unauthorized = Self("unauthorized", .unauthenticated)
        public static let rateLimited = Self("rate_limited", .tooMany)
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

    /// - Parameter seconds: the time until the next attempt.
    public static func rateLimited(retryAfter seconds: Int) -> Refusal {
        Refusal(.rateLimited, "Too many requests; try again in \(seconds) s.", retryAfter: seconds)
    }
}
