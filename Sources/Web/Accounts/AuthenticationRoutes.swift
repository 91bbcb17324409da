import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/auth/…`: signing in and out, and the current caller.
struct AuthenticationRoutes: Sendable {
    let database: Database
    let accounts: AccountOperations

    func add(to routes: Routes) {
        routes.open(
            .post, "/auth/token", limit: .publicCalls,
            about: RouteText(
                "Exchanges an API token for an access token",
                .ok(AccessTokenResource.self, "Valid for `expiresIn` seconds.")), use: exchange)
        routes.open(
            .post, "/auth/sign-in", limit: .none,
            about: RouteText(
                "Signs in with a password, and a code where the account has a second factor", takes: NewSignIn.self,
                .ok(SignedInResource.self, "Signed in.")), use: signIn)
        routes.open(
            .post, "/auth/refresh", limit: .publicCalls,
            about: RouteText(
                "Renews a sign-in; using a refresh token twice ends it", takes: RefreshRequest.self,
                .ok(SignedInResource.self, "Renewed.")), use: refresh)
        routes.open(
            .post, "/auth/register", limit: .none,
            about: RouteText(
                "Creates an account, if registration is open", takes: NewAccount.self,
                .created(SignedInResource.self, "Created and signed in.")), use: register)
        routes.open(
            .post, "/auth/password-reset", limit: .none,
            about: RouteText(
                "Sends a password reset link; the response does not reveal whether the account exists",
                takes: ResetRequest.self, .accepted(nil, "If the address is verified, an e-mail has been sent.")),
            use: askForReset)
        routes.open(
            .post, "/auth/password-reset/confirm", limit: .publicCalls,
            about: RouteText(
                "Sets a new password with the link's secret; all sign-ins end", takes: PasswordReset.self, .done()),
            use: reset)
        routes.on(
            .post, "/auth/verify-email", for: .account,
            about: RouteText(
                "Verifies the account's e-mail address with the link's secret", takes: SecretOnly.self,
                .done()), use: verifyEmail)
        routes.on(
            .get, "/auth/me", for: .credential,
            about: RouteText("The account of this token", .ok(UserResource.self, "The account.")), use: me)
        routes.on(
            .post, "/auth/sign-out", for: .credential, about: RouteText("Ends this sign-in", .done()), use: signOut)
        routes.on(
            .post, "/auth/password", for: .account,
            about: RouteText("Changes the password; other sign-ins end", takes: PasswordChange.self, .done()),
            use: changePassword)
        routes.on(
            .post, "/auth/email", for: .account,
            about: RouteText(
                "Changes the e-mail address once the link sent to it is followed", takes: EmailChange.self,
                .accepted(nil, "An e-mail has been sent.")), use: changeEmail)
    }

    /// An API token can be exchanged for an access token. An access token cannot renew itself.
    @Sendable private func exchange(_ request: Request, _ context: WebContext) async throws -> Response {
        let header = request.headers[.authorization] ?? ""
        let token = String(header.dropFirst("bearer ".count))
        guard header.lowercased().hasPrefix("bearer "), token.hasPrefix(APIToken.prefix),
            let caller = try await accounts.authenticator.caller(token: token, address: context.address)
        else { throw Refusal.unauthorized }
        let access = try await accounts.accessToken(for: caller)
        return .json(AccessTokenResource(accessToken: access.text, expiresIn: access.seconds))
    }

    @Sendable private func signIn(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked = try await request.value(NewSignIn.self)
        let source = Self.source(request, context, client: asked.client)
        let step = try await accounts.checkPassword(login: asked.username, password: asked.password, from: source)
        switch step {
        case .done(let user): return try await answer(user, isStrong: false, "password", source)
        case .needsCode(let user):
            guard let code = asked.code else {
                throw APIError(
                    .unauthorized, "second_factor_required", "Also send the code of your authenticator app as 'code'.")
            }
            try await accounts.takeCode(code, of: user, from: source)
            return try await answer(user, isStrong: true, "password and code", source)
        }
    }

    @Sendable private func refresh(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked = try await request.value(RefreshRequest.self)
        let (caller, next) = try await accounts.refresh(asked.refreshToken, address: context.address)
        let access = try await accounts.accessToken(for: caller)
        return .json(
            SignedInResource(accessToken: access.text, expiresIn: access.seconds, refreshToken: next))
    }

    @Sendable private func register(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked = try await request.value(NewAccount.self)
        let made = try await accounts.register(
            username: asked.username, email: asked.email, password: asked.password, invitation: asked.invitation,
            from: Self.source(request, context, client: nil))
        return try await answer(made, status: .created)
    }

    @Sendable private func askForReset(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked = try await request.value(ResetRequest.self)
        try await accounts.askForReset(email: asked.email, from: Self.source(request, context, client: nil))
        return Response(status: .accepted)
    }

    @Sendable private func reset(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked = try await request.value(PasswordReset.self)
        _ = try await accounts.reset(
            secret: asked.secret, password: asked.password, from: Self.source(request, context, client: nil))
        return .done
    }

    @Sendable private func verifyEmail(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        try await accounts.verifyEmail(secret: try await request.value(SecretOnly.self).secret, by: caller)
        return .done
    }

    @Sendable private func me(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let member = try await database.read {
            try Member.find(userId: caller.user.id, organisationId: caller.organisationId, in: $0)
        }
        guard let member else { throw Refusal.unauthorized }
        return .json(
            UserResource(
                id: caller.user.id, username: caller.user.username, email: caller.user.email,
                tier: member.organisation.plan.rawValue))
    }

    @Sendable private func signOut(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try await accounts.signOut(caller)
        return .done
    }

    @Sendable private func changePassword(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        let asked = try await request.value(PasswordChange.self)
        try await accounts.changePassword(
            old: asked.oldPassword, new: asked.newPassword, of: caller,
            from: Self.source(request, context, client: nil))
        return .done
    }

    @Sendable private func changeEmail(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try caller.requirePerson()
        let asked = try await request.value(EmailChange.self)
        try await accounts.setEmail(asked.email, password: asked.password, of: caller)
        return Response(status: .accepted)
    }

    private func answer(
        _ user: User, isStrong: Bool, _ how: String, _ source: AccountOperations.Source
    ) async throws -> Response {
        try await answer(try await accounts.startSignIn(user, isStrong: isStrong, how: how, from: source), status: .ok)
    }

    private func answer(_ made: AccountOperations.SignedIn, status: HTTPResponse.Status) async throws -> Response {
        let access = try await accounts.accessToken(for: made.caller)
        return .json(
            SignedInResource(
                accessToken: access.text, expiresIn: access.seconds, refreshToken: made.secret),
            status: status)
    }

    private static func source(
        _ request: Request, _ context: WebContext, client: String?
    ) -> AccountOperations.Source {
        AccountOperations.Source(
            kind: .client, client: ClientName.of(request, claimed: client), address: context.address)
    }
}
