import Model
import Operations
import Storage
import Telemetry
import Tunnels
import Wire

extension WebFeature {
    /// Names and ports that lead to machines.
    static let tunnels = WebFeature(
        name: "tunnels",
        navigation: [
            NavigationLink(
                path: "/organisation/tunnels", title: "Tunnels", group: .organisation, permission: .tenantRead)
        ],
        exports: [
            ExportPart(kind: "tunnel") { after, scope in
                let page = try Tunnel.history(after: after, in: scope)
                return page.last.map { ExportPart.Page(values: page.map(ExportedTunnel.init), next: $0.id) }
            }
        ],
        metrics: { services, out in services.parts.metrics.tunnels.expose(to: &out) },
        routes: { services, routes in
            let resources = TunnelResources(
                server: services.tunnels.server, isTrusted: services.parts.trusts)
            TunnelRoutes(tunnels: services.tunnels, resources: resources, linkKey: services.parts.linkKey).add(
                to: routes)
            TunnelPages(tunnels: services.tunnels, resources: resources).add(to: routes)
        })

    private struct ExportedTunnel: Encodable {
        let id: String
        let kind: TunnelKind
        let name: String?
        let port: Int?
        let createdAt: String
        let releasedAt: String?
        let requests, bytes, connections: Int

        init(_ tunnel: Tunnel) {
            id = tunnel.id
            kind = tunnel.kind
            name = tunnel.name
            port = tunnel.port
            createdAt = tunnel.createdAt.iso
            releasedAt = tunnel.releasedAt?.iso
            requests = tunnel.usage.requests
            bytes = tunnel.usage.bytes
            connections = tunnel.usage.connections
        }
    }
}

extension NewTunnel: Described {
    static let schema = Schema.either([
        .object([
            .field("kind", .words([TunnelKind.http, .tls].map(\.rawValue))),
            .absentOrNull(
                "name", .text(3...63, pattern: "^[a-z0-9][a-z0-9-]*[a-z0-9]$"), "Three random words if absent."
            ),
            .optional("port", .null),
        ]),
        .object([
            .field("kind", .words([TunnelKind.tcp].map(\.rawValue))),
            .absentOrNull("port", .integer(1...65_535), "A free one if absent."), .optional("name", .null),
        ]),
    ])
}

extension TunnelResource: Described {
    static let schema = Schema.named(
        "Tunnel",
        [
            .field("id", .string),
            .field("kind", .words(TunnelKind.allCases.map(\.rawValue))),
            .nullable("name", .string),
            .nullable("port", .integer),
            .field("url", .string),
            .field("state", .words(["online", "offline", "paused"])),
            .field("owner", .string),
            .field("kept", .boolean, "Whether the name or port is kept when the command exits."),
            .field("createdAt", .time),
            .nullable("lastSeenAt", .time),
            .field("connections", .integer, "Current visitor connections."),
            .field("requests", .integer, "Total."),
            .field("bytes", .integer, "Total, in both directions."),
            .field("trusted", .boolean, "Whether browsers trust the certificate that visitors are shown."),
        ])
}

extension LinkResource: Described {
    static let schema = Schema.named(
        "Link",
        [
            .field("protocol", .string, "Its ALPN identifier."),
            .field("key", .string, "SHA-256 of the public key that the server presents to machines."),
        ])
}
