/// Computes when the next certificate is due. A pure function of times. All times are in epoch seconds.
public struct RenewalSchedule: Sendable, Equatable {
    /// The delays after a failure, in seconds. The short ones cover a brief error, a restart and a longer outage. After
    /// that the delay is one day, without end.
    static let backoff = [60, 600, 6000, 86400]

    /// A certificate's validity period.
    public struct Lifetime: Sendable, Equatable {
        public let notBefore, notAfter: Int

        public init(notBefore: Int, notAfter: Int) {
            self.notBefore = notBefore
            self.notAfter = notAfter
        }
    }

    /// The number of failed attempts since the last success.
    public private(set) var failures = 0
    /// The earliest time of the next attempt.
    public private(set) var earliestAttempt = 0
    /// The time chosen from renewal information. Nil if there is none (RFC 9773).
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

    /// The time at which a third of the lifetime is left.
    static func thirdLeft(of certificate: Lifetime) -> Int {
        certificate.notAfter - (certificate.notAfter - certificate.notBefore) / 3
    }

    public mutating func failed(now: Int, retryAfter: Int?) {
        let wait = Self.backoff[min(failures, Self.backoff.count - 1)]
        failures += 1
        // The authority may ask for a longer delay, not for a shorter one, and for a week at most.
        earliestAttempt = now + min(max(wait, retryAfter ?? 0), 7 * 86400)
    }

    /// Nothing was tried: the next attempt is later, and no failure is counted.
    public mutating func postpone(until time: Int) { earliestAttempt = max(earliestAttempt, time) }

    public mutating func succeeded() { self = RenewalSchedule() }

    /// Makes the next attempt due now; keeps the count of failures.
    public mutating func requestNow() {
        earliestAttempt = 0
        suggested = 0
    }

    /// Picks a random time in the window that the authority gave, so that not all clients renew at its start.
    /// - Parameter random: 0 up to 1.
    public mutating func suggest(start: Int, end: Int, random: Double) {
        guard end >= start else { return }
        suggested = start + Int(Double(end - start) * random)
    }

    /// How close a certificate is to its expiry.
    public enum Urgency: String, Sendable, Codable, Comparable, CaseIterable {
        case good, warning, alarm

        public static func < (left: Urgency, right: Urgency) -> Bool {
            // The order of the cases above.
            allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
        }
    }

    /// Warns when a quarter of the lifetime is left, alarms at a tenth.
    public static func urgency(of certificate: Lifetime, now: Int) -> Urgency {
        let lifetime = max(1, certificate.notAfter - certificate.notBefore)
        let left = certificate.notAfter - now
        return left * 10 <= lifetime ? .alarm : left * 4 <= lifetime ? .warning : .good
    }
}
