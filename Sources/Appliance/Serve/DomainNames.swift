import CertificateAuthorities
import Model
import NIOCore
import Operations
import Outbound
import TransportSecurity

/// Looks up the DNS records of organisations' domains: proof, addresses and CAA.
struct DomainNames: DomainLookup {
    let lookup: DNSLookup
    /// The server's own host; nil where its owner has not said.
    let ownHost: String?
    /// How CAA records name the certificate authority.
    let authority: String
    /// Finds out what visitors are shown. Nil where no TLS ends here.
    let probe: CertificateProbe?
    /// The certificate that is served for a name.
    let served: @Sendable (String) -> Fingerprint?
    /// The port that visitors use.
    let port: Int

    /// - Parameter directory: the authority's, as in https://acme-v02.api.letsencrypt.org/directory.
    static func authority(of directory: String) -> String {
        let host = WebAddress(directory, scheme: "https")?.host ?? directory
        return host.split(separator: ".").suffix(2).joined(separator: ".")
    }

    func proof(_ proof: String, at name: String) async -> DomainProof {
        switch await lookup.texts(of: name) {
        case .unknown(let problem): return .unknown(problem)
        case .none:
            return .missing(
                "There is no TXT record \(name) yet; set it to \(proof). Name servers may take minutes to publish it.")
        case .some(let texts, let lifetime):
            if texts.contains(proof) { return .found }
            let said = texts.prefix(3).map { "“\($0.prefix(80))”" }.joined(separator: ", ")
            return .missing(
                "The TXT record \(name) says \(said), but must say \(proof). An old value may be cached for \(lifetime) s more."
            )
        }
    }

    func problems(of name: String) async -> [String] {
        let (address, issuing, shown) = (await address(of: name), await issuing(for: name), await shown(for: name))
        return [address, issuing, shown].compactMap { $0 }
    }

    /// The maximum number of addresses that are probed.
    private static let probed = 2

    /// Compares what a visitor is shown with what this server serves. Only public addresses and the server's own are
    /// connected to: whoever owns the domain chooses them.
    private func shown(for name: String) async -> String? {
        guard let probe, let expected = served(name), case .some(let addresses, _) = await lookup.addresses(of: name)
        else {
            return nil
        }
        var own: [String] = []
        if let ownHost, case .some(let here, _) = await lookup.addresses(of: ownHost) { own = here }
        let allowed = addresses.filter { address in
            own.contains(address)
                || (try? SocketAddress(ipAddress: address, port: port)).map(PublicAddresses.contains) ?? false
        }
        for address in allowed.prefix(Self.probed) {
            guard let other = await probe.otherCertificate(than: expected, of: name, at: address, port: port) else {
                continue
            }
            return "Visitors of \(name) at \(address) are shown another certificate (\(other)) than this server's; "
                + "something in between ends TLS, or the address is another server's."
        }
        return nil
    }

    private func address(of name: String) async -> String? {
        switch await lookup.addresses(of: name) {
        case .unknown(let problem): return "The addresses of \(name) cannot be resolved: \(problem)."
        case .none:
            return "\(name) has no address yet; set its CNAME record"
                + (ownHost.map { " to \($0)." } ?? ", or its A and AAAA records, to this server.")
        case .some(let there, let lifetime):
            guard let ownHost, case .some(let here, _) = await lookup.addresses(of: ownHost) else { return nil }
            // One family that leads elsewhere is enough for some visitors to get there.
            let elsewhere = there.filter { !here.contains($0) }
            guard !elsewhere.isEmpty else { return nil }
            return "\(name) points to \(elsewhere.joined(separator: ", ")), but this server is at "
                + "\(here.joined(separator: ", ")); change its records. Old ones may be cached for \(lifetime) s more."
        }
    }

    private func issuing(for name: String) async -> String? {
        guard case .some(let allowed, _) = await lookup.authorities(of: name), !allowed.contains(authority) else {
            return nil
        }
        let others = allowed.filter { !$0.isEmpty }
        let who = others.isEmpty ? "nobody" : "only \(others.joined(separator: ", "))"
        return
            "The CAA records of \(name) allow \(who) to issue certificates; add: \(name) CAA 0 issue \"\(authority)\"."
    }
}
