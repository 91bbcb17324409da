import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of people who are not signed in (yet): sign in, second factor, register, a new password, an invitation.
struct SignInPages: Sendable {
    let database: Database
    let accounts: AccountOperations
    let providers: Providers

    func add(to routes: Routes) {
        routes.openPage(.get, "/sign-in", limit: .none, use: signInForm)
        routes.openPage(.post, "/sign-in", limit: .none, use: guarded(signIn))
        routes.openPage(.get, "/sign-in/code", limit: .none, use: codeForm)
        routes.openPage(.post, "/sign-in/code", limit: .none, use: guarded(takeCode))
        routes.page(.post, "/sign-out", for: .account, use: signOut)
        routes.openPage(.get, "/register", limit: .none, use: registerForm)
        routes.openPage(.post, "/register", limit: .none, use: guarded(register))
        routes.openPage(.get, "/forgotten", limit: .none, use: forgottenForm)
        routes.openPage(.post, "/forgotten", limit: .none, use: guarded(forgotten))
        routes.openPage(.get, "/reset/:secret", limit: .publicCalls, use: resetForm)
        routes.openPage(.post, "/reset/:secret", limit: .none, use: guarded(reset))
        routes.page(.get, "/verify/:secret", for: .account, use: verifyForm)
        routes.page(.post, "/verify/:secret", for: .account, use: verify)
    }

    /// A form of a visitor: read, checked, and an error is a page.
    private func guarded(
        _ handler: @escaping @Sendable (Request, WebContext, Visitor, Form) async throws -> Response
    ) -> Routes.OpenHandler {
        { request, context in
            let visitor = Visitor(request)
            do {
                return try await handler(
                    request, context, visitor, try await Form.read(request, context, visitor.formToken))
            } catch {
                let answer = APIError(error)
                guard answer.status.code < 500 else { throw error }
                return ErrorPage(answer, context).response()
            }
        }
    }

    private static func source(_ request: Request, _ context: WebContext) -> AccountOperations.Source {
        AccountOperations.Source(kind: .browser, client: BrowserName.of(request), address: context.address)
    }

    // MARK: Signing in

    @Sendable private func signInForm(_ request: Request, _ context: WebContext) async throws -> Response {
        let visitor = Visitor(request)
        return visitor.page("Sign in", signInBody(visitor, next: request.uri.queryParameters["next"].map(String.init)))
    }

    private func signInBody(_ visitor: Visitor, next: String?, login: String = "") -> HTML {
        let more: HTML =
            accounts.settings.registration == .open ? "<p><a href=\"/register\">Make an account</a></p>" : ""
        let forgotten: HTML = accounts.mail.isOn ? "<p><a href=\"/forgotten\">Password forgotten</a></p>" : ""
        return """
            <form method="post" action="/sign-in">\(visitor.formToken.field)\(Field.hidden("next", Self.safe(next)))
            \(Field.text("username", "Name or e-mail address", value: login, autocomplete: "username", more: login.isEmpty ? "autofocus" : ""))
            \(Field.text("password", "Password", type: "password", autocomplete: "current-password", more: login.isEmpty ? "" : "autofocus"))
            <p><button>Sign in</button></p></form>\(providers.links(next: Self.safe(next)))\(forgotten)\(more)
            """
    }

    @Sendable private func signIn(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        let source = Self.source(request, context)
        let next = Self.safe(form["next"])
        let login = try form.require("username")
        let step: AccountOperations.FirstStep
        do {
            step = try await accounts.checkPassword(login: login, password: form.raw("password") ?? "", from: source)
        } catch let refusal as Refusal where refusal.isRetryable {
            return visitor.page(
                "Sign in", signInBody(visitor, next: next, login: login), notice: refusal.message,
                status: APIError(refusal).status)
        }
        switch step {
        case .done(let user): return try await begin(user, isStrong: false, "password", source, next)
        case .needsCode(let user):
            let pending = try await accounts.tokens.makeStep(
                .secondFactor, subject: user.id, data: ["next": next], now: .now())
            return Response.redirect(to: "/sign-in/code", type: .normal)
                .with(cookie: Cookies.set(Cookies.pending, pending, seconds: AccessTokens.stepSeconds))
        }
    }

    @Sendable private func codeForm(_ request: Request, _ context: WebContext) async throws -> Response {
        let visitor = Visitor(request)
        guard try await pending(request) != nil else { return .redirect(to: "/sign-in", type: .normal) }
        return visitor.page("Second factor", codeBody(visitor))
    }

    private func codeBody(_ visitor: Visitor) -> HTML {
        """
        <form method="post" action="/sign-in/code">\(visitor.formToken.field)
        \(Field.text("code", "Code of your authenticator app", autocomplete: "one-time-code", hint: "Six digits, or one of your recovery codes.", more: "autofocus"))
        <p><button>Go on</button></p></form>
        """
    }

    @Sendable private func takeCode(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        guard let (user, data) = try await pending(request) else { return .redirect(to: "/sign-in", type: .normal) }
        let source = Self.source(request, context)
        do {
            try await accounts.takeCode(try form.require("code"), of: user, from: source)
        } catch let refusal as Refusal where refusal.isRetryable {
            return visitor.page(
                "Second factor", codeBody(visitor), notice: refusal.message, status: APIError(refusal).status)
        }
        let how = data["provider"].map { "\($0) and code" } ?? "password and code"
        return try await ProviderRoutes.enter(user, isStrong: true, how: how, data, accounts, request, context)
            .with(cookie: Cookies.set(Cookies.pending, "", seconds: 0))
    }

    /// The account whose password was shown in this browser within the last ten minutes, and where the browser goes next.
    private func pending(_ request: Request) async throws -> (User, [String: String])? {
        guard let text = Cookies.value(Cookies.pending, of: request),
            let step = try await accounts.tokens.step(.secondFactor, text, now: .now())
        else { return nil }
        let user = try await database.read { try User.find(id: step.subject, in: $0) }
        return user.map { ($0, step.data ?? [:]) }
    }

    private func begin(
        _ user: User, isStrong: Bool, _ how: String, _ source: AccountOperations.Source, _ next: String
    ) async throws -> Response {
        let made = try await accounts.startSignIn(user, isStrong: isStrong, how: how, from: source)
        return Self.signedIn(made, next)
    }

    static func signedIn(_ made: AccountOperations.SignedIn, _ next: String) -> Response {
        Response.redirect(to: next, type: .normal)
            .with(cookie: Cookies.set(Cookies.signIn, made.secret ?? "", seconds: SignIn.Kind.browser.lifetimeSeconds))
    }

    /// Only a path of this server: a link must not lead people elsewhere by way of us.
    static func safe(_ next: String?) -> String {
        guard let next, next.hasPrefix("/"), !next.hasPrefix("//"), !next.contains("\\"),
            next.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return "/account" }
        return next
    }

    @Sendable private func signOut(_ page: PageRequest) async throws -> Response {
        try await accounts.signOut(page.caller)
        return Response.redirect(to: "/sign-in", type: .normal).with(
            cookie: Cookies.set(Cookies.signIn, "", seconds: 0))
    }

    // MARK: Registering

    @Sendable private func registerForm(_ request: Request, _ context: WebContext) async throws -> Response {
        let visitor = Visitor(request)
        let invitation = request.uri.queryParameters["invitation"].map(String.init)
        let isAllowed =
            accounts.settings.registration == .open || (accounts.settings.registration == .invited && invitation != nil)
        guard isAllowed else {
            return visitor.page(
                "No accounts for strangers",
                "<p>This server makes accounts by invitation; ask its owner, or <a href=\"/sign-in\">sign in</a>.</p>",
                status: .forbidden)
        }
        let rule = "\(AccountSettings.passwordLength.lowerBound) characters or more; a few random words are good."
        return visitor.page(
            "Make an account",
            """
            <form method="post" action="/register">\(visitor.formToken.field)\(Field.hidden("invitation", invitation ?? ""))
            \(Field.text("username", "Your account's name", autocomplete: "username", hint: "Letters, digits, dot, hyphen and underscore.", more: "maxlength=\"64\" autofocus"))
            \(Field.text("email", "E-mail address (optional)", type: "email", autocomplete: "email", isRequired: false))
            \(Field.text("password", "Password", type: "password", autocomplete: "new-password", hint: rule))
            <p><button>Make the account</button></p></form><p><a href="/sign-in">I have an account</a></p>
            """)
    }

    @Sendable private func register(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        let made = try await accounts.register(
            username: try form.require("username"), email: form["email"], password: form.raw("password") ?? "",
            invitation: form["invitation"], from: Self.source(request, context))
        return Self.signedIn(made, "/account")
    }

    // MARK: Links

    @Sendable private func forgottenForm(_ request: Request, _ context: WebContext) async throws -> Response {
        let visitor = Visitor(request)
        guard accounts.mail.isOn else {
            return visitor.page(
                "Password forgotten",
                "<p>This server sends no mail; ask its owner for a link with <code>postern user reset</code>.</p>")
        }
        return visitor.page(
            "Password forgotten",
            """
            <form method="post" action="/forgotten">\(visitor.formToken.field)
            \(Field.text("email", "Your e-mail address", type: "email", autocomplete: "email", more: "autofocus"))
            <p><button>Send a link</button></p></form>
            """)
    }

    @Sendable private func forgotten(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        try await accounts.askForReset(email: try form.require("email"), from: Self.source(request, context))
        return visitor.page(
            "Look into your mail",
            "<p>If an account has proved this address, a link is on its way. It works for an hour.</p>")
    }

    @Sendable private func resetForm(_ request: Request, _ context: WebContext) async throws -> Response {
        let visitor = Visitor(request)
        let secret = try context.parameters.require("secret")
        do {
            let (user, _) = try await database.read {
                try OneTimeLink.find(.resetPassword, secret: secret, now: .now(), in: $0)
            }
            let rule = "\(AccountSettings.passwordLength.lowerBound) characters or more; a few random words are good."
            return visitor.page(
                "A new password",
                """
                <form method="post">\(visitor.formToken.field)<p>For the account <strong>\(user.username)</strong>. \
                All its sign-ins end.</p>
                \(Field.text("password", "New password", type: "password", autocomplete: "new-password", hint: rule, more: "autofocus"))
                <p><button>Set the password</button></p></form>
                """)
        } catch let refusal as Refusal { return ErrorPage(APIError(refusal), context).response() }
    }

    @Sendable private func reset(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        _ = try await accounts.reset(
            secret: try context.parameters.require("secret"), password: form.raw("password") ?? "",
            from: Self.source(request, context))
        return visitor.page("Your password is set", "<p><a href=\"/sign-in\">Sign in</a> with it.</p>")
    }

    /// A button and not the link itself: mail programs follow links to look at them.
    @Sendable private func verifyForm(_ page: PageRequest) async throws -> Response {
        let secret = try page.context.parameters.require("secret")
        let (user, email) = try await database.read {
            try OneTimeLink.find(.verifyEmail, secret: secret, now: .now(), in: $0)
        }
        return page.page(
            "Prove your e-mail address",
            ("<p>\(email ?? "") becomes the address of the account <strong>\(user.username)</strong>.</p>" as HTML)
                + Field.action("/verify/\(FormText.encoded(secret))", "This address is mine", page.visit.formToken))
    }

    @Sendable private func verify(_ page: PageRequest) async throws -> Response {
        try await accounts.verifyEmail(secret: try page.context.parameters.require("secret"), by: page.caller)
        return page.back(to: "/account", "Your address is proved.")
    }
}

extension Refusal {
    /// A wrong password or code, or too many of them: the form is shown again.
    fileprivate var isRetryable: Bool { [.signInFailed, .signInCode, .rateLimited].contains(code) }
}
