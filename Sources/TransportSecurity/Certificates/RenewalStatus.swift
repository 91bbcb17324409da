/// The state of ACME, for `cert status`, the status page and the next start.
public struct RenewalStatus: Sendable, Codable, Equatable {
    /// The current or last step.
    public var doing: String
    /// Why the last attempt failed; nil after a success.
    public var problem: String?
    /// Epoch seconds.
    public var lastAttempt: Int?
    /// Epoch seconds.
    public var nextAttempt: Int
    public var failures: Int
    /// The names that the attempts were for. Nil in files from before 0.3.
    public var names: [String]?

    public init(
        doing: String, problem: String?, lastAttempt: Int? = nil, nextAttempt: Int, failures: Int,
        names: [String]? = nil
    ) {
        self.doing = doing
        self.problem = problem
        self.lastAttempt = lastAttempt
        self.nextAttempt = nextAttempt
        self.failures = failures
        self.names = names
    }
}
