import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Tunnels
import Wire

/// `/domains…`: host names of an organisation's own.
struct DomainRoutes: Sendable {
    let domains: DomainOperations
    let resources: DomainResources

    func add(to routes: Routes) {
        routes.on(
            .get, "/domains", for: .member(.domainRead),
            about: RouteText("The organisation's domains", .ok([DomainResource].self, "By name.")), use: list)
        routes.on(
            .post, "/domains", for: .member(.domainManage),
            about: RouteText(
                "Adds a host name; the response contains the DNS records to set", takes: NewDomain.self,
                .created(DomainResource.self, "The domain, not yet verified.")), use: add)
        routes.on(
            .get, "/domains/:id", for: .member(.domainRead),
            about: RouteText("One domain, by its name or id", .ok(DomainResource.self, "The domain.")), use: show)
        routes.on(
            .post, "/domains/:id/verify", for: .member(.domainManage), limit: .publicCalls,
            about: RouteText(
                "Verifies the TXT record and checks the other DNS records",
                .ok(DomainResource.self, "The updated domain, with a sentence for each remaining step.")),
            use: verify)
        routes.on(
            .post, "/domains/:id/route", for: .member(.domainManage),
            about: RouteText(
                "Points a verified domain to a tunnel, or to none", takes: DomainRouteChange.self,
                .ok(DomainResource.self, "The updated domain.")), use: route)
        routes.on(
            .delete, "/domains/:id", for: .member(.domainManage),
            about: RouteText(
                "Removes a domain; the name stays reserved for the organisation for 90 days if it was verified", .done()
            ),
            use: remove)
        routes.on(
            .get, "/v1/admin/domains", for: .administrator,
            about: RouteText("The domains of all organisations", .ok([DomainResource].self, "By name.")),
            use: listEverywhere)
    }

    private func id(_ context: WebContext) throws -> String {
        FormText.decoded(try context.parameters.require("id")[...])
    }

    @Sendable private func list(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        .json(try await domains.list(by: caller).map { resources.resource($0, request) })
    }

    @Sendable private func add(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let asked = try await request.value(NewDomain.self)
        let made = try await domains.add(asked.name, own: resources.ownNames, by: caller)
        return .json(resources.resource(made, request), status: .created)
    }

    @Sendable private func show(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        .json(resources.resource(try await domains.show(try id(context), by: caller), request))
    }

    @Sendable private func verify(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        let (found, problems) = try await domains.verify(try id(context), by: caller)
        var resource = resources.resource(found, request)
        resource.problems = problems
        return .json(resource)
    }

    @Sendable private func route(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let asked = try await request.value(DomainRouteChange.self)
        let passesThrough: Bool? =
            switch asked.tlsMode {
            case nil: nil
            case "passthrough": true
            case "termination", "terminate": false
            default: throw APIError.badRequest("tlsMode must be termination or passthrough")
            }
        let routed = try await domains.route(
            try id(context), to: asked.tunnelId, passesThrough: passesThrough, by: caller)
        return .json(resources.resource(routed, request))
    }

    @Sendable private func remove(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        try await domains.remove(try id(context), by: caller)
        return .done
    }

    @Sendable private func listEverywhere(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        .json(
            try await domains.listEverywhere(by: caller).map { listed, organisation in
                var resource = resources.resource(listed, request)
                resource.organisation = organisation
                return resource
            })
    }
}
