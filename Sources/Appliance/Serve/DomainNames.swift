import CertificateAuthorities
import Model
import Operations
import Outbound

/// Looks up the DNS records of organisations' domains: proof, addresses and CAA.
struct DomainNames: DomainLookup {
    let lookup: DNSLookup
    /// The server's own host; nil where its owner has not said.
    let ownHost: String?
    /// How CAA records name the certificate authority.
    let authority: String

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
        let (address, issuing) = (await address(of: name), await issuing(for: name))
        return [address, issuing].compactMap { $0 }
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
