/// How the certificate stands, for the status page, `/ready`, metrics and `cert status`.
public struct CertificateReport: Sendable {
    /// `self-signed`, `files` or `acme`.
    public let mode: String
    public let names: [String]
    public let fingerprint: Fingerprint
    /// Epoch seconds.
    public let notBefore: Int
    public let notAfter: Int
    public let issuer: String
    public let isSelfSigned: Bool
    public let urgency: RenewalSchedule.Urgency
    /// With acme: what is going on.
    public let renewal: RenewalStatus?
    /// What went wrong last, in words, if anything did.
    public let problem: String?

    public init(mode: String, _ certificate: Certificate, renewal: RenewalStatus?, problem: String?, now: Int) {
        self.mode = mode
        names = certificate.names
        fingerprint = certificate.fingerprint
        notBefore = certificate.notBefore
        notAfter = certificate.notAfter
        issuer = certificate.issuer
        isSelfSigned = certificate.isSelfIssued
        urgency = RenewalSchedule.urgency(of: .init(notBefore: notBefore, notAfter: notAfter), now: now)
        self.renewal = renewal
        self.problem = problem ?? renewal?.problem
    }

    /// Whole days until it ends; negative afterwards.
    public func daysLeft(now: Int) -> Int { (notAfter - now) / 86400 - (notAfter < now ? 1 : 0) }
}
