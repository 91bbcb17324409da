import Database
import HTTPTypes
import Hummingbird
import Identity
import Logging
import Model
import NIOCore
import Operations
import Storage
import Synchronization
import Wire

/// `/auth/github`, `/auth/google`, `/auth/oidc` and their callbacks: sign-in with another provider.
struct ProviderRoutes: Sendable {
    /// The maximum length of a client's own state, in bytes. Longer state is not echoed.
    private static let clientStateBytes = 512

    let database: Database
    let accounts: AccountOperations
    let providers: [any Provider]
    /// Addresses of programs that may receive a token. The first is used if the request has no `redirect`.
    let frontends: [String]
    let logger: Logger
    private let used = UsedOnce()

    init(
        database: Database, accounts: AccountOperations, providers: [any Provider], frontends: [String],
        logger: Logger
    ) {
        self.database = database
        self.accounts = accounts
        self.providers = providers
        self.frontends = frontends
        self.logger = logger
    }

    func add(to routes: Routes) {
        for name in ["github", "google", "oidc"] {
            let begins = RouteText(
                "Starts a sign-in with the provider",
                query: [
                    .init("state", .string, "Set by the client; returned unchanged."),
                    .init("redirect", .string, "One of the allowed frontend URLs."),
                    .init("to", .words(["browser"]), "Signs in this browser instead of issuing a token to a program."),
                    .init("next", .string, "A path on this server to continue to, with to=browser."),
                ], .json(302, nil, "Redirect to the provider."))
            let finishes = RouteText(
                "The provider's callback",
                query: [
                    .init("code", .string, "Set by the provider."), .init("state", .string, "Set by this server."),
                    .init("error", .string, "Set by the provider."),
                ], .json(302, nil, "Redirect to the program with its token, or to the next page in this browser."))
            routes.open(.get, "/auth/\(name)", limit: .publicCalls, about: begins) { try await begin(name, $0, $1) }
            routes.open(.get, "/auth/\(name)/callback", limit: .publicCalls, about: finishes) {
                try await finish(name, $0, $1)
            }
        }
    }

    private func provider(_ name: String) throws -> any Provider {
        if let found = providers.first(where: { $0.name == name }) { return found }
        throw APIError(.notFound, "provider_off", "Signing in with \(name) is not set up on this server.")
    }

    // MARK: Redirect to the provider

    /// `?state=` is the client's own. `?to=browser` signs this browser in instead of giving a program a token.
    /// `?redirect=` chooses one of the allowed programs.
    private func begin(_ name: String, _ request: Request, _ context: WebContext) async throws -> Response {
        let provider = try provider(name)
        let query = request.uri.queryParameters
        var data: [String: String] = [
            "provider": name, "state": RandomText.make(letters: 43), "nonce": RandomText.make(letters: 43),
            "verifier": RandomText.make(letters: 64),
        ]
        if query["to"] == "browser" {
            data["next"] = SignInPages.safe(query["next"].map(String.init))
        } else {
            data["frontend"] = try frontend(query["redirect"].map(String.init))
            if let state = query["state"].map(String.init), Self.isEchoed(state) { data["clientState"] = state }
        }
        let attempt = attempt(data, request)
        let step = try await accounts.tokens.makeStep(.provider, subject: name, data: data, now: .now())
        do {
            return Response.redirect(to: try await provider.authorizationURL(attempt), type: .found)
                .with(cookie: Cookies.set(Self.freeAttempt(request), step, seconds: AccessTokens.stepSeconds))
        } catch let error as IdentityError { throw failed(error, name) }
    }

    /// A cookie that no other sign-in of this browser uses. If all are in use, one of them is replaced.
    private static func freeAttempt(_ request: Request) -> String {
        Cookies.attempts.first { Cookies.value($0, of: request) == nil }
            ?? Cookies.attempts.randomElement() ?? Cookies.pending
    }

    /// The sign-in of this browser to which a provider's response belongs, and the cookie that stores it.
    private func begun(
        _ name: String, _ request: Request
    ) async throws -> (cookie: String, data: [String: String])? {
        guard let wanted = request.uri.queryParameters["state"].map(String.init) else { return nil }
        for cookie in Cookies.attempts {
            guard let text = Cookies.value(cookie, of: request),
                let step = try await accounts.tokens.step(.provider, text, now: .now()), step.subject == name,
                let data = step.data, data["state"] == wanted, used.take(wanted)
            else { continue }
            return (cookie, data)
        }
        return nil
    }

    private func frontend(_ wanted: String?) throws -> String {
        guard let wanted else { return frontends.first ?? AccountSettings.frontend }
        guard frontends.contains(wanted) else {
            throw APIError.badRequest("redirect: that address is not allowed on this server (frontend-urls).")
        }
        return wanted
    }

    private static func isEchoed(_ state: String) -> Bool {
        !state.isEmpty && state.utf8.count <= clientStateBytes && state.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    }

    private func attempt(_ data: [String: String], _ request: Request) -> ProviderAttempt {
        let base = accounts.settings.publicURL ?? "http://\(request.head.authority ?? "localhost")"
        return ProviderAttempt(
            state: data["state"] ?? "", nonce: data["nonce"] ?? "", verifier: data["verifier"] ?? "",
            redirectURL: "\(base)/auth/\(data["provider"] ?? "")/callback")
    }

    // MARK: Redirect back

    private func finish(_ name: String, _ request: Request, _ context: WebContext) async throws -> Response {
        let provider = try provider(name)
        let query = request.uri.queryParameters
        // Bound to the browser that began it, and used only once, whatever the result.
        guard let (cookie, data) = try await begun(name, request) else {
            return ErrorPage(
                APIError(.badRequest, "state_wrong", "This sign-in was started elsewhere or has expired; start again."),
                context
            ).response()
        }
        do {
            guard let code = query["code"].map(String.init), !code.isEmpty else {
                let word = query["error"].map { String($0.prefix(100)) } ?? "no code"
                throw IdentityError(.provider, "\(provider.title) refused the sign-in: \(word)")
            }
            let person = try await provider.person(code: code, attempt(data, request))
            let user = try await accounts.account(of: person, from: provider)
            return try await enter(user, provider, data, request, context)
                .with(cookie: Cookies.set(cookie, "", seconds: 0))
        } catch let error as IdentityError {
            return ErrorPage(failed(error, name), context).response()
                .with(cookie: Cookies.set(cookie, "", seconds: 0))
        } catch let refusal as Refusal {
            return ErrorPage(APIError(refusal), context).response()
                .with(cookie: Cookies.set(cookie, "", seconds: 0))
        }
    }

    private func enter(
        _ user: User, _ provider: any Provider, _ data: [String: String], _ request: Request, _ context: WebContext
    ) async throws -> Response {
        // The provider's response replaces the password, but not the second factor.
        if try await accounts.hasSecondFactor(user) {
            let step = try await accounts.tokens.makeStep(.secondFactor, subject: user.id, data: data, now: .now())
            return Response.redirect(to: "/sign-in/code", type: .normal)
                .with(cookie: Cookies.set(Cookies.pending, step, seconds: AccessTokens.stepSeconds))
        }
        return try await ProviderRoutes.enter(
            user, isStrong: false, how: provider.title, data, accounts, request, context)
    }

    /// Signs the browser in, or gives a program its token, depending on how the sign-in began.
    static func enter(
        _ user: User, isStrong: Bool, how: String, _ data: [String: String], _ accounts: AccountOperations,
        _ request: Request, _ context: WebContext
    ) async throws -> Response {
        guard let frontend = data["frontend"] else {
            let source = AccountOperations.Source(
                kind: .browser, client: BrowserName.of(request), address: context.address)
            let made = try await accounts.startSignIn(user, isStrong: isStrong, how: how, from: source)
            return SignInPages.signedIn(made, SignInPages.safe(data["next"]))
        }
        let source = AccountOperations.Source(
            kind: .desktop, client: "desktop client, by \(BrowserName.of(request))", address: context.address)
        let made = try await accounts.startSignIn(user, isStrong: isStrong, how: how, from: source)
        let token = try await accounts.accessToken(for: made.caller).text
        // Return the state exactly as received, or not at all.
        let state = data["clientState"].map { "&state=\(FormText.encoded($0))" } ?? ""
        let target = "\(frontend)auth?token=\(token)\(state)"
        guard isStrong else { return Response.redirect(to: target, type: .found) }
        // The second-factor form was posted, and its `form-action` policy also applies to redirects. A page that
        // refreshes to the target is not a redirect.
        var page = Page(
            title: "Signed in",
            body: Page.alone(
                "<h1>Signed in</h1><p><a class=\"button main\" href=\"\(target)\">Continue to the program</a></p>")
        ).response
        page.headers[.refresh] = "0;url=\(target)"
        return page
    }

    private func failed(_ error: IdentityError, _ name: String) -> APIError {
        logger.warning("signing in with a provider failed", metadata: ["provider": "\(name)", "error": "\(error)"])
        return APIError(.badGateway, error.code.rawValue, "Signing in failed: \(error.message).")
    }
}

extension HTTPField.Name {
    // A valid field name: only an invalid one returns nil.
    static let refresh = Self("Refresh")!
}

/// States that were used. Each is stored for as long as it could be used again.
private final class UsedOnce: Sendable {
    /// The maximum number of sign-ins by a provider within ten minutes. Each needs about 100 bytes.
    private static let capacity = 10_000
    private let seen = Mutex<[String: NIODeadline]>([:])

    /// Returns false if the state was already used.
    func take(_ state: String, now: NIODeadline = .now()) -> Bool {
        seen.withLock { seen in
            if seen.count >= Self.capacity { seen = seen.filter { $0.value > now } }
            guard seen[state] == nil, seen.count < Self.capacity else { return false }
            seen[state] = now + .seconds(AccessTokens.stepSeconds)
            return true
        }
    }
}
