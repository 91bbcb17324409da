/// What this server has asked of a certificate authority, so that it stops before the authority's limits: one domain too
/// many must not keep the others from being renewed. A pure value; times are epoch seconds.
///
/// The limits are those of Let's Encrypt (letsencrypt.org/docs/rate-limits), the strictest that is widely used.
public struct OrderLedger: Codable, Sendable, Equatable {
    /// The share of each limit that is used, in percent.
    static let share = 80
    /// New orders of one account in three hours.
    static let orders = (limit: 300, seconds: 3 * 3600)
    /// Certificates of one registered domain in a week.
    static let certificates = (limit: 50, seconds: 7 * 86_400)
    /// Failed validations of one name in an hour.
    static let failures = (limit: 5, seconds: 3600)

    struct Order: Codable, Equatable {
        let at: Int
        let name: String
    }

    private(set) var ordered: [Order] = []
    private(set) var failed: [Order] = []

    public init() {}

    /// Why an order has to wait.
    public struct Wait: Sendable, Equatable {
        public let until: Int
        /// A sentence.
        public let reason: String
    }

    /// - Parameter isRenewal: the order names the certificate that it replaces (RFC 9773): only failures count for it.
    /// - Returns: nil if the order may be made now.
    public func wait(for name: String, isRenewal: Bool, now: Int) -> Wait? {
        let mistakes = Self.newest(failed.filter { $0.name == name }, Self.failures, now)
        if let until = mistakes {
            return Wait(
                until: until,
                reason: "the validation of \(name) failed too often in the last hour; correct the problem above first")
        }
        guard !isRenewal else { return nil }
        if let until = Self.newest(ordered, Self.orders, now) {
            return Wait(until: until, reason: "\(Self.share) % of the authority's limit of orders are used up")
        }
        let domain = Self.registered(name)
        let same = ordered.filter { Self.registered($0.name) == domain }
        if let until = Self.newest(same, Self.certificates, now) {
            return Wait(
                until: until,
                reason:
                    "\(Self.share) % of the certificates that the authority issues for \(domain) in a week are used up")
        }
        return nil
    }

    /// The time at which one more is allowed; nil if it is allowed now.
    private static func newest(_ entries: [Order], _ limit: (limit: Int, seconds: Int), _ now: Int) -> Int? {
        let allowed = max(1, limit.limit * share / 100)
        let recent = entries.filter { $0.at > now - limit.seconds }
        guard recent.count >= allowed else { return nil }
        return recent[recent.count - allowed].at + limit.seconds
    }

    /// An order was made.
    public mutating func order(_ name: String, isRenewal: Bool, now: Int) {
        if !isRenewal { ordered.append(Order(at: now, name: name)) }
        prune(now)
    }

    /// The authority could not validate a name.
    public mutating func fail(_ name: String, now: Int) {
        failed.append(Order(at: now, name: name))
        prune(now)
    }

    private mutating func prune(_ now: Int) {
        ordered.removeAll { $0.at <= now - Self.certificates.seconds }
        failed.removeAll { $0.at <= now - Self.failures.seconds }
    }

    /// An estimate of the registered domain of a name: two labels, or three below a country's co, com, org and similar.
    static func registered(_ name: String) -> String {
        let labels = name.split(separator: ".")
        let second = labels.count >= 2 ? labels[labels.count - 2] : ""
        let isCountrys =
            labels.last?.count == 2
            && ["ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"].contains(String(second))
        return labels.suffix(isCountrys ? 3 : 2).joined(separator: ".")
    }
}
