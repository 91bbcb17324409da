/// The facts of a certificate that its owner needs. Also stored on disk, where the owner's commands read what the running
/// server presents.
public struct CertificateFacts: Codable, Sendable, Equatable {
    public let names: [String]
    public let fingerprint: Fingerprint
    /// Epoch seconds.
    public let notBefore: Int
    public let notAfter: Int
    public let issuer: String
    public let isSelfSigned: Bool

    public init(_ certificate: Certificate) {
        names = certificate.names
        fingerprint = certificate.fingerprint
        notBefore = certificate.notBefore
        notAfter = certificate.notAfter
        issuer = certificate.issuer
        isSelfSigned = certificate.isSelfIssued
    }

    public func urgency(now: Int) -> RenewalSchedule.Urgency {
        RenewalSchedule.urgency(of: .init(notBefore: notBefore, notAfter: notAfter), now: now)
    }
}

/// The state of a certificate, for the status page, `/ready`, metrics and `cert status`.
public struct CertificateReport: Sendable {
    /// `self-signed`, `files` or `acme`.
    public let mode: String
    public let facts: CertificateFacts
    public let urgency: RenewalSchedule.Urgency
    /// With acme: the state of the renewal.
    public let renewal: RenewalStatus?
    /// The last problem, as text. Nil if there was none.
    public let problem: String?

    public init(mode: String, _ facts: CertificateFacts, renewal: RenewalStatus?, problem: String?, now: Int) {
        self.mode = mode
        self.facts = facts
        urgency = facts.urgency(now: now)
        self.renewal = renewal
        self.problem = problem ?? renewal?.problem
    }

    /// The report to show if there are several: the most urgent. Among equally urgent ones, the one that expires first.
    public static func foremost(_ reports: [CertificateReport]) -> CertificateReport? {
        reports.min { ($1.urgency, $0.facts.notAfter) < ($0.urgency, $1.facts.notAfter) }
    }

    /// Whole days until the certificate expires. Negative afterwards.
    public func daysLeft(now: Int) -> Int { (facts.notAfter - now) / 86400 - (facts.notAfter < now ? 1 : 0) }
}
