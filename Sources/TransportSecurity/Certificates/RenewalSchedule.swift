/// When the next certificate is due, as a pure rule: times in, a time out. All in epoch seconds.
public struct RenewalSchedule: Sendable, Equatable {
    /// Waits after a failure, in seconds: a slip, a restart, a longer outage; then daily, for ever.
    static let backoff = [60, 600, 6000, 86400]

    /// A certificate's validity period.
    public struct Lifetime: Sendable, Equatable {
        public let notBefore, notAfter: Int

        public init(notBefore: Int, notAfter: Int) {
            self.notBefore = notBefore
            self.notAfter = notAfter
        }
    }

    /// How many attempts have failed since the last success.
    public private(set) var failures = 0
    /// No attempt before this.
    public private(set) var earliestAttempt = 0
    /// The moment that renewal information picked, where there is any (RFC 9773).
    public private(set) var suggested: Int?

    public init(failures: Int = 0, earliestAttempt: Int = 0) {
        self.failures = failures
        self.earliestAttempt = earliestAttempt
    }

    /// When to try next.
    public func next(for certificate: Lifetime?) -> Int {
        guard let certificate else { return earliestAttempt }
        return max(earliestAttempt, suggested ?? Self.thirdLeft(of: certificate))
    }

    /// When a third of the lifetime is left.
    static func thirdLeft(of certificate: Lifetime) -> Int {
        certificate.notAfter - (certificate.notAfter - certificate.notBefore) / 3
    }

    public mutating func failed(now: Int, retryAfter: Int?) {
        let wait = Self.backoff[min(failures, Self.backoff.count - 1)]
        failures += 1
        // The authority may ask for more patience, not for less; nor for more than a week.
        earliestAttempt = now + min(max(wait, retryAfter ?? 0), 7 * 86400)
    }

    public mutating func succeeded() { self = RenewalSchedule() }

    /// Makes the next attempt due now; keeps the count of failures.
    public mutating func requestNow() {
        earliestAttempt = 0
        suggested = 0
    }

    /// A window from the authority: a moment in it at random, so that not everybody comes at its start.
    /// - Parameter random: 0 up to 1.
    public mutating func suggest(start: Int, end: Int, random: Double) {
        guard end >= start else { return }
        suggested = start + Int(Double(end - start) * random)
    }

    /// How near the end is.
    public enum Urgency: String, Sendable, Codable, Comparable, CaseIterable {
        case good, warning, alarm

        public static func < (left: Urgency, right: Urgency) -> Bool {
            // In the order in which they stand above.
            allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
        }
    }

    /// Warn at a quarter of the lifetime left, alarm at a tenth.
    public static func urgency(of certificate: Lifetime, now: Int) -> Urgency {
        let lifetime = max(1, certificate.notAfter - certificate.notBefore)
        let left = certificate.notAfter - now
        return left * 10 <= lifetime ? .alarm : left * 4 <= lifetime ? .warning : .good
    }
}
