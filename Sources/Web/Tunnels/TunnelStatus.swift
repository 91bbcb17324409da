import Glibc

/// The state of the tunnel domain's certificate.
public struct TunnelCertificateReport: Sendable {
    let domain: String
    /// Whether browsers trust it.
    let isTrusted: Bool
    /// The last error when it was ordered.
    let problem: String?
    /// Epoch seconds. Nil if there is none.
    let notAfter: Int?

    public init(domain: String, isTrusted: Bool, problem: String?, notAfter: Int?) {
        self.domain = domain
        self.isTrusted = isTrusted
        self.problem = problem
        self.notAfter = notAfter
    }

    /// Two weeks, in seconds: long enough to find out why it was not renewed.
    private static let warningSeconds = 14 * 86_400

    /// The component for the status page.
    func component(tunnels: Int, now: Int) -> Component {
        let count = "\(tunnels) \(tunnels == 1 ? "tunnel" : "tunnels") connected"
        guard let notAfter, isTrusted else {
            let reason = problem.map { " The last certificate request failed: \($0)." } ?? ""
            return Component(
                "tunnels", .warning,
                "\(count). Visitors are shown a certificate that browsers do not trust.\(reason) See docs/tunnels.md."
            )
        }
        let days = (notAfter - now) / 86_400
        if notAfter < now {
            return Component("tunnels", .alarm, "\(count). The certificate of their domain has expired.")
        }
        if notAfter - now < Self.warningSeconds {
            return Component(
                "tunnels", .warning, "\(count). The certificate of their domain is valid for \(days) more days.")
        }
        return Component("tunnels", .ok, "\(count). Their certificate is valid for \(days) days.")
    }
}
