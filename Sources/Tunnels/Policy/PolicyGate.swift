import Crypto
import FoundationEssentials
import HTTP1
import Limits
import Model
import NIOCore
public import Wire

/// A policy with its counters for one tunnel. Belongs to the tunnel's event loop.
final class PolicyGate {
    /// The maximum number of accepted tokens that are remembered.
    private static let tokenLimit = 1_000

    let rules: AccessRules
    private var rate: RequestRate?
    private var breaker: CircuitBreaker?
    private var active = 0
    /// Accepted tokens by SHA-256, with their end in seconds since 1970.
    private var accepted: [[UInt8]: Double] = [:]

    init(_ rules: AccessRules) {
        self.rules = rules
        rate = rules.rate.map { RequestRate(perMinute: $0.perMinute, now: .now()) }
        breaker = rules.breaker.map { CircuitBreaker(failures: $0.failures, pause: .seconds(Int64($0.seconds))) }
    }

    // MARK: Before the request

    /// Counts the request for the rate limit.
    func limit(_ head: RequestHead, from client: ClientAddress, now: NIODeadline) -> EdgeAnswer? {
        guard rate != nil, let policy = rules.rate else { return nil }
        let key: String
        if let header = policy.header {
            // A visitor without the header is told apart by its address.
            let found = head.fields.first { head.block.isNamed($0, header) }
            key = found.map { "h \(head.block.value($0).prefix(256))" } ?? "a \(client.key)"
        } else {
            key = "a \(client.key)"
        }
        return rate?.begin(key, now: now).map { .rate(policy.perMinute, retryAfter: $0) }
    }

    enum SignIn {
        /// Nil if no sign-in is needed, or the visitor has signed in by password or token.
        case done(EdgeMember?)
        case refused(EdgeAnswer)
        /// Asks for the sign-in of a member.
        case member
        /// The token has to be verified first.
        case undecided(token: String)
    }

    /// - Parameters:
    ///   - member: the member who is signed in on this host, if any.
    ///   - organisation: of the tunnel.
    func signIn(_ head: RequestHead, member: EdgeMember?, organisation: String, now: Timestamp) -> SignIn {
        guard rules.needsSignIn else { return .done(nil) }
        let authorization = head.block[.authorization]
        if rules.wantsPassword, rules.accepts(authorization) { return .done(nil) }
        if rules.bearer != nil, let token = BearerRules.token(in: authorization) {
            let digest = Array(SHA256.hash(data: Data(token.utf8)))
            guard let end = accepted[digest] else { return .undecided(token: token) }
            if Double(now.milliseconds) / 1000 < end { return .done(nil) }
            accepted[digest] = nil
            return .refused(.token)
        }
        guard let members = rules.members else {
            return .refused(rules.wantsPassword ? .password : .token)
        }
        guard let member, member.organisationId == organisation else { return .member }
        guard members.isEmpty || members.contains(member.username) else {
            return .refused(.notInvited(member.username))
        }
        return .done(member)
    }

    /// Remembers a verified token.
    /// - Parameter end: seconds since 1970.
    func accept(_ token: String, until end: Double) {
        if accepted.count >= Self.tokenLimit { accepted.removeAll(keepingCapacity: true) }
        accepted[Array(SHA256.hash(data: Data(token.utf8)))] = end
    }

    // MARK: During the request

    /// Counts a request that is about to be forwarded, until ``ended()``.
    func begin(now: NIODeadline) -> EdgeAnswer? {
        if let limit = rules.concurrency, active >= limit { return .concurrency(limit) }
        if let seconds = breaker?.begin(now: now) { return .breaker(retryAfter: seconds) }
        active += 1
        return nil
    }

    /// How the service has answered.
    /// - Parameter failed: whether it failed; nil if the request says nothing about it.
    func settled(failed: Bool?, now: NIODeadline) { breaker?.ended(failed: failed, now: now) }

    /// The request no longer counts.
    func ended() { active -= 1 }
}

/// A checked policy, as all threads may use it.
public struct CompiledPolicy: Sendable {
    /// Identifies this version of the policy: a changed policy has another number.
    let number: Int
    let rules: AccessRules

    /// Checks a policy.
    /// - Parameter isHTTP: the policy is for requests, not only for connections.
    /// - Throws: ``PolicyProblem``.
    public init(_ policy: AccessPolicy, isHTTP: Bool, number: Int) throws(PolicyProblem) {
        let rules: AccessRules
        do throws(AccessRules.Problem) { rules = try AccessRules(policy) } catch {
            throw PolicyProblem(message: error.message)
        }
        guard isHTTP || !rules.needsRequests else { throw PolicyProblem(message: AccessRules.onlyForHTTP) }
        self.number = number
        self.rules = rules
    }

    /// Refuses everybody: used in place of a stored policy that cannot be read.
    public static func closed(number: Int) -> CompiledPolicy { CompiledPolicy(number: number, rules: .closed) }

    private init(number: Int, rules: AccessRules) {
        self.number = number
        self.rules = rules
    }
}

/// Why a policy cannot be used, as a sentence.
public struct PolicyProblem: Error, Sendable {
    public static let unreadable = PolicyProblem(message: "The stored policy cannot be opened.")
    public let message: String
}
