import Hummingbird
import Model
import Operations
import Storage
import Wire

/// Domains as the API and the pages show them.
struct DomainResources: Sendable {
    /// What people call this server, as a URL; nil where its owner has not said.
    let publicURL: String?
    /// The names of the server's own certificate.
    let names: [String]
    /// Where `_acme-challenge` of a domain must lead; nil where no such record is needed.
    let challengeTarget: (@Sendable (String) -> String)?

    /// The server's own host, the target of domains' CNAME records.
    func host(_ request: Request) -> String {
        Self.host(of: publicURL ?? request.ownURL ?? "")
    }

    private static func host(of url: String) -> String {
        let rest = url.split(separator: "://", maxSplits: 1).last.map(String.init) ?? url
        return String(rest.prefix { $0 != "/" && $0 != ":" })
    }

    /// Names that nobody can add. The request's Host header does not count: any client chooses it.
    var ownNames: [String] {
        let hosts = names + (publicURL.map { [Self.host(of: $0)] } ?? [])
        // An address has no names below it.
        return hosts.filter { $0.contains { $0.isLetter } && !$0.contains(":") }.map { $0.lowercased() }
    }

    func resource(_ one: DomainOperations.Listed, _ request: Request) -> DomainResource {
        let domain = one.domain
        let isServed = domain.isServed(now: .now())
        let state =
            domain.verifiedAt == nil
            ? "unverified" : one.tunnel == nil ? "verified" : isServed ? "routed" : "paused"
        let passesThrough = one.tunnel?.kind == .tls
        return DomainResource(
            id: domain.id, name: domain.name, state: state,
            records: [
                .init(type: "TXT", name: domain.proofName, value: domain.proof),
                .init(type: "CNAME", name: domain.name, value: host(request)),
            ]
                + (challengeTarget.map {
                    [.init(type: "CNAME", name: "_acme-challenge.\(domain.name)", value: $0(domain.name))]
                } ?? []), tunnel: one.tunnel?.name,
            tlsMode: one.tunnel.map { _ in passesThrough ? "passthrough" : "termination" },
            tlsStatus: passesThrough ? "none" : one.certificate?.state ?? "none",
            tlsNotAfter: one.certificate?.notAfter.map { Timestamp(milliseconds: Int64($0) * 1000).iso },
            tlsLastError: domain.verifiedAt == nil
                ? domain.problem : one.certificate?.problem ?? domain.problem, createdAt: domain.createdAt.iso,
            verifiedAt: domain.verifiedAt?.iso, checkedAt: domain.checkedAt?.iso)
    }
}
