import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/organisations/:organisation/sign-on`: an organisation's single sign-on.
struct SignOnRoutes: Sendable {
    let signOn: SignOnOperations

    func add(to routes: Routes) {
        let path = "/organisations/:organisation/sign-on"
        routes.on(
            .get, path, for: .memberBeforeSignOn(.signOnManage),
            about: RouteText(
                "The organisation's single sign-on", .ok(SignOnResource.self, "The issuer, without its secret.")),
            use: show)
        routes.on(
            .put, path, for: .memberBeforeSignOn(.signOnManage),
            about: RouteText(
                "Sets the organisation's single sign-on; only its owner can", takes: SignOnChange.self,
                .ok(SignOnResource.self, "The issuer as it is now.")), use: change)
        routes.on(
            .delete, path, for: .memberBeforeSignOn(.signOnManage),
            about: RouteText("Removes the organisation's single sign-on", .done("Removed.")), use: remove)
        routes.on(
            .delete, "\(path)/members/:user", for: .memberBeforeSignOn(.signOnManage),
            about: RouteText(
                "Forgets who a member is at the issuer; the next sign-on decides again", .done("Forgotten.")),
            use: reset)
    }

    private func organisation(_ context: WebContext) throws -> String { try context.parameters.require("organisation") }

    @Sendable private func show(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        guard let found = try await signOn.show(of: try organisation(context), by: caller) else {
            throw APIError.notFound
        }
        return .json(SignOnResource(found))
    }

    @Sendable private func change(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        let asked = try await request.value(SignOnChange.self)
        let changed = try await signOn.set(
            try organisation(context), issuer: asked.issuer, clientId: asked.clientId, secret: asked.clientSecret,
            isRequired: asked.required ?? false, isForTunnels: asked.requiredForTunnels ?? false, by: caller)
        guard let changed else { throw APIError.notFound }
        return .json(SignOnResource(changed))
    }

    @Sendable private func remove(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        try await signOn.remove(try organisation(context), by: caller)
        return .done
    }

    @Sendable private func reset(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        try await signOn.reset(try context.parameters.require("user"), in: try organisation(context), by: caller)
        return .done
    }
}

struct SignOnResource: Encodable, Described {
    let issuer, clientId, changedAt: String
    let required, requiredForTunnels: Bool

    init(_ found: SingleSignOn) {
        issuer = found.issuer
        clientId = found.clientId
        changedAt = found.changedAt.iso
        required = found.isRequired
        requiredForTunnels = found.isForTunnels
    }

    static let schema = Schema.named(
        "SignOn",
        [
            .field("issuer", .string), .field("clientId", .string), .field("changedAt", .time),
            .field("required", .boolean, "Members need it for everything in the organisation."),
            .field("requiredForTunnels", .boolean, "Visitors of private tunnels need it."),
        ])
}

struct SignOnChange: Decodable, Described {
    let issuer, clientId: String
    let clientSecret: String?
    let required, requiredForTunnels: Bool?

    static let schema = Schema.object([
        .field("issuer", .text(9...512, pattern: "^https://[!-~]+$"), "As the issuer spells it."),
        .field("clientId", .text(1...256)),
        .absentOrNull("clientSecret", .text(1...1024), "The stored one stays if absent."),
        .absentOrNull("required", .boolean), .absentOrNull("requiredForTunnels", .boolean),
    ])
}

extension WebFeature {
    /// Organisations' own issuers.
    static let singleSignOn = WebFeature(
        name: "singleSignOn",
        routes: { services, routes in
            SignOnRoutes(signOn: services.signOn).add(to: routes)
            SignOnPages(
                signOn: services.signOn, tokens: services.accounts.tokens,
                publicURL: services.configuration.accounts.publicURL, logger: services.parts.logger
            ).add(to: routes)
        })
}
