import Model
import Operations
import Storage
import Telemetry
import Wire

extension WebFeature {
    /// Host names of organisations' own.
    static let domains = WebFeature(
        name: "domains",
        navigation: [
            NavigationLink(
                path: "/organisation/domains", title: "Domains", group: .organisation, permission: .domainRead)
        ],
        exports: [
            .once("domain") { scope in try Domain.list(in: scope).map(ExportedDomain.init) }
        ],
        metrics: { services, out in
            for (state, count) in (services.parts.domainCertificates?.counts() ?? [:]).sorted(by: { $0.key < $1.key }) {
                out.gauge(
                    "postern_domain_certificates", "Certificates of domains by state.", Double(count),
                    labels: [("state", state)])
            }
        },
        routes: { services, routes in
            let resources = DomainResources(
                publicURL: services.configuration.accounts.publicURL, names: services.configuration.names,
                challengeTarget: services.parts.challengeTarget)
            DomainRoutes(domains: services.domains, resources: resources).add(to: routes)
            DomainPages(domains: services.domains, tunnels: services.tunnels, resources: resources).add(to: routes)
        })

    private struct ExportedDomain: Encodable {
        let id, name, createdAt: String
        let verifiedAt: String?

        init(_ domain: Domain) {
            id = domain.id
            name = domain.name
            createdAt = domain.createdAt.iso
            verifiedAt = domain.verifiedAt?.iso
        }
    }
}

extension DomainResource: Described {
    static let schema = Schema.named(
        "Domain",
        [
            .field("id", .string), .field("name", .string),
            .field("state", .words(["unverified", "verified", "routed", "paused"])),
            .field(
                "records",
                .list(.object([.field("type", .string), .field("name", .string), .field("value", .string)])),
                "Records to set in the domain's DNS."),
            .nullable("tunnel", .string, "The tunnel that it points to."),
            .nullable("tlsMode", .words(["termination", "passthrough"])),
            .field("tlsStatus", .words(["none", "ordering", "issued", "failed"])), .nullable("tlsNotAfter", .time),
            .nullable("tlsLastError", .string), .field("createdAt", .time), .nullable("verifiedAt", .time),
            .nullable("checkedAt", .time),
            .optional("problems", .list(.string), "The remaining steps; only in responses to verify."),
            .optional("organisation", .string, "Only for administrators of the server."),
        ])
}

extension NewDomain: Described {
    /// As ``DomainName`` reads it.
    static let schema: Schema = {
        let label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        let last = "[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        return .object([
            .field("name", .text(3...253, pattern: "^(\(label)\\.)+\(last)\\.?$"), "A host name: app.example.org.")
        ])
    }()
}

extension DomainRouteChange: Described {
    static let schema = Schema.object([
        .absentOrNull("tunnelId", .string, "The tunnel's name or id; null for none."),
        .absentOrNull("tlsMode", .words(["termination", "passthrough", "terminate"])),
    ])
}
