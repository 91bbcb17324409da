import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import TransportSecurity
import Tunnels
import Wire

/// `/tunnels…`: names and ports that lead to machines, and how machines open their links.
struct TunnelRoutes: Sendable {
    let tunnels: TunnelOperations
    let resources: TunnelResources
    /// The public key of the link's identity. Nil if the server has no HTTPS.
    let linkKey: String?

    func add(to routes: Routes) {
        routes.open(
            .get, "/link", limit: .none,
            about: RouteText(
                "How a machine connects to the server", .ok(LinkResource.self, "The protocol and the key to pin.")),
            use: link)
        routes.on(
            .post, "/tunnels", for: .member(.tunnelCreate),
            about: RouteText(
                "Reserves a name or a port; has no effect if the caller already has it", takes: NewTunnel.self,
                .created(TunnelResource.self, "The caller's tunnel.")), use: create)
        routes.on(
            .get, "/tunnels", for: .credential,
            about: RouteText(
                "The caller's tunnels",
                query: [.init("all", .words(["yes", "no"]), "All in the organisation; needs tunnel:read.")],
                .ok([TunnelResource].self, "Newest first.")), use: list)
        routes.on(
            .get, "/tunnels/:id", for: .credential,
            about: RouteText("One tunnel, by its id, name or port", .ok(TunnelResource.self, "The tunnel.")), use: show)
        routes.on(
            .delete, "/tunnels/:id", for: .credential,
            about: RouteText(
                "Releases a name or a port; it stays reserved for the organisation for 90 days",
                .done("Released.")),
            use: remove)
        for (verb, summary) in [
            ("stop", "Stops the command that serves a tunnel"), ("pause", "Pauses a tunnel"),
            ("resume", "Resumes a paused tunnel"),
        ] {
            routes.on(
                .post, "/tunnels/:id/\(verb)", for: .credential, about: RouteText(summary, .done()),
                use: { request, context, caller in try await change(verb, context, caller) })
            routes.on(
                .post, "/admin/tunnels/:id/\(verb)", for: .administrator,
                about: RouteText("\(summary), in any organisation", .done()),
                use: { request, context, caller in try await changeAnywhere(verb, context, caller) })
        }
        routes.on(
            .get, "/admin/tunnels", for: .administrator,
            about: RouteText("The tunnels of all organisations", .ok([TunnelResource].self, "Newest first.")),
            use: listEverywhere)
    }

    @Sendable private func link(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let linkKey else { throw APIError.notFound }
        return .json(LinkResource(protocol: TLSContext.linkProtocol, key: linkKey))
    }

    @Sendable private func create(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        let asked = try await request.value(NewTunnel.self)
        if asked.kind == .tcp && asked.name != nil {
            throw APIError.badRequest("name is only for http and tls; tcp uses a port")
        }
        if asked.kind != .tcp && asked.port != nil {
            throw APIError.badRequest("port is only for tcp; http and tls use a name")
        }
        let made = try await tunnels.create(
            Tunnel.Request(kind: asked.kind, name: asked.name, port: asked.port), by: caller)
        return .json(resources.resource(made), status: .created)
    }

    /// `?all=yes` for all tunnels, if the role allows it.
    @Sendable private func list(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let all = try await tunnels.list(all: try request.yesOrNo("all"), by: caller)
        return .json(all.map(resources.resource))
    }

    @Sendable private func show(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        .json(resources.resource(try await tunnels.show(try context.parameters.require("id"), by: caller)))
    }

    @Sendable private func remove(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        try await tunnels.remove(try context.parameters.require("id"), by: caller)
        return .done
    }

    private func change(_ verb: String, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let id = try context.parameters.require("id")
        switch verb {
        case "stop": _ = try await tunnels.stop(id, by: caller)
        case "pause": try await tunnels.setPaused(id, true, by: caller)
        default: try await tunnels.setPaused(id, false, by: caller)
        }
        return .done
    }

    private func changeAnywhere(_ verb: String, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let id = try context.parameters.require("id")
        switch verb {
        case "stop": _ = try await tunnels.kill(id: id, by: caller)
        case "pause": try await tunnels.setBlocked(id: id, true, by: caller)
        default: try await tunnels.setBlocked(id: id, false, by: caller)
        }
        return .done
    }

    @Sendable private func listEverywhere(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        .json(try await tunnels.listEverywhere(by: caller).map { resources.resource($0.listed) })
    }
}

/// Tunnels in the format of the API and the pages.
struct TunnelResources: Sendable {
    let server: TunnelServer
    /// Whether browsers trust the certificate presented for a host.
    let isTrusted: @Sendable (String) -> Bool

    func resource(_ listed: TunnelOperations.Listed) -> TunnelResource {
        let tunnel = listed.tunnel
        let totals = listed.status?.totals
        let state = tunnel.isPaused ? "paused" : listed.status == nil ? "offline" : "online"
        let lastSeen = listed.status == nil ? tunnel.seenAt : .now()
        return TunnelResource(
            id: tunnel.id, kind: tunnel.kind, name: tunnel.name, port: tunnel.port, url: url(tunnel), state: state,
            owner: listed.owner ?? "", kept: tunnel.isKept, createdAt: tunnel.createdAt.iso, lastSeenAt: lastSeen?.iso,
            connections: listed.status?.connections ?? 0, requests: totals?.requests ?? tunnel.usage.requests,
            bytes: totals?.bytes ?? tunnel.usage.bytes,
            trusted: tunnel.kind != .http || tunnel.name.flatMap(server.configuration.host).map(isTrusted) ?? false)
    }

    func url(_ tunnel: Tunnel) -> String {
        server.url(name: tunnel.name, port: tunnel.port, isHTTP: tunnel.kind == .http)
    }
}
