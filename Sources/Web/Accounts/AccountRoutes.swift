import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/account/…` of the API: second factor, sign-ins and tokens of the caller.
struct AccountRoutes: Sendable {
    let database: Database
    let accounts: AccountOperations
    let management: CredentialOperations

    func add(to routes: Routes) {
        routes.on(
            .get, "/auth/second-factor", for: .account,
            about: RouteText("Whether a second factor is on", .ok(SecondFactorResource.self, "Its state.")),
            use: secondFactor)
        routes.on(
            .post, "/auth/second-factor", for: .account,
            about: RouteText(
                "Creates a seed for an authenticator app; it takes effect once a code confirms it",
                .created(SeedResource.self, "The seed, for the app.")), use: beginSecondFactor)
        routes.on(
            .post, "/auth/second-factor/confirm", for: .account,
            about: RouteText(
                "Turns the second factor on with a first code", takes: CodeOnly.self,
                .ok(RecoveryCodesResource.self, "Recovery codes, shown only once.")), use: confirmSecondFactor)
        routes.on(
            .post, "/auth/second-factor/recovery-codes", for: .account,
            about: RouteText(
                "Creates new recovery codes; all older ones stop working", takes: CodeOnly.self,
                .ok(RecoveryCodesResource.self, "Recovery codes, shown only once.")), use: renewRecoveryCodes)
        routes.on(
            .post, "/auth/second-factor/off", for: .account,
            about: RouteText("Turns the second factor off", takes: CodeOnly.self, .done()), use: turnSecondFactorOff)
        routes.on(
            .get, "/auth/sign-ins", for: .account,
            about: RouteText("The caller's sign-ins", .ok([SignInResource].self, "Newest first.")), use: signIns)
        routes.on(
            .delete, "/auth/sign-ins", for: .account, about: RouteText("Ends all sign-ins but this one", .done()),
            use: endAll)
        routes.on(
            .delete, "/auth/sign-ins/:id", for: .account, about: RouteText("Ends a sign-in", .done()), use: endOne)
        routes.on(
            .get, "/tokens", for: .account,
            about: RouteText(
                "The caller's API tokens, without their secrets", .ok([TokenResource].self, "Newest first.")),
            use: tokens)
        routes.on(
            .post, "/tokens", for: .member(.tokenCreate),
            about: RouteText(
                "Creates an API token for the organisation of this credential", takes: NewToken.self,
                .created(TokenResource.self, "The token, shown only once.")), use: createToken)
        routes.on(
            .delete, "/tokens/:id", for: .account, about: RouteText("Revokes an API token", .done()), use: revokeToken)
    }

    @Sendable private func secondFactor(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        .json(SecondFactorResource(try await management.secondFactor(of: caller)))
    }

    @Sendable private func beginSecondFactor(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        let seed = try await management.beginSecondFactor(of: caller)
        return .json(
            SeedResource(seed: seed, username: caller.user.username, host: context.host(request)), status: .created)
    }

    @Sendable private func confirmSecondFactor(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        let asked = try await request.value(CodeOnly.self)
        return .json(RecoveryCodesResource(recoveryCodes: try await management.confirm(asked.code, of: caller)))
    }

    @Sendable private func renewRecoveryCodes(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        let asked = try await request.value(CodeOnly.self)
        return .json(
            RecoveryCodesResource(recoveryCodes: try await management.renewRecoveryCodes(asked.code, of: caller)))
    }

    @Sendable private func turnSecondFactorOff(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        let asked = try await request.value(CodeOnly.self)
        try await management.turnSecondFactorOff(asked.code, of: caller)
        return .done
    }

    @Sendable private func signIns(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let all = try await database.read { try SignIn.list(userId: caller.user.id, now: .now(), in: $0) }
        return .json(all.map { SignInResource($0, current: caller.credential.id) })
    }

    @Sendable private func endAll(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        try await management.signOutEverywhere(caller)
        return .done
    }

    @Sendable private func endOne(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        try await management.endSignIn(try context.parameters.require("id"), of: caller)
        return .done
    }

    @Sendable private func tokens(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let all = try await database.read { try APIToken.list(userId: caller.user.id, in: $0) }
        return .json(all.map(TokenResource.init))
    }

    @Sendable private func createToken(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(NewToken.self)
        let scopes = try asked.scopes.map { try Set.parse($0, field: "scopes") }
        let (listed, secret) = try await management.createToken(
            name: asked.name, scopes: scopes, days: asked.expiresInDays, for: caller)
        var resource = TokenResource(listed)
        resource.token = secret
        return .json(resource, status: .created)
    }

    @Sendable private func revokeToken(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try await management.revokeToken(try context.parameters.require("id"), of: caller)
        return .done
    }
}

extension WebContext {
    /// The name of this server, for an authenticator app.
    func host(_ request: Request) -> String { request.head.authority ?? "postern" }
}
