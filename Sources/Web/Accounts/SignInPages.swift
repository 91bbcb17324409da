import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages for people who are not signed in: sign in, second factor, register, a new password, an invitation.
struct SignInPages: Sendable {
    let database: Database
    let accounts: AccountOperations
    let providers: Providers

    func add(to routes: Routes) {
        routes.openPage(.get, "/sign-in", limit: .none, use: shown(signInForm))
        routes.openPage(.post, "/sign-in", limit: .none, use: guarded(in: signInForm, signIn))
        routes.openPage(.get, "/sign-in/code", limit: .none, use: shown(codeForm))
        routes.openPage(.post, "/sign-in/code", limit: .none, use: guarded(in: codeForm, takeCode))
        routes.page(.post, "/sign-out", for: .account, use: signOut)
        routes.openPage(.get, "/register", limit: .none, use: shown(registerForm))
        routes.openPage(.post, "/register", limit: .none, use: guarded(in: registerForm, register))
        routes.openPage(.get, "/forgotten", limit: .none, use: shown(forgottenForm))
        routes.openPage(.post, "/forgotten", limit: .none, use: guarded(in: forgottenForm, forgotten))
        routes.openPage(.get, "/reset/:secret", limit: .publicCalls, use: shown(resetForm))
        routes.openPage(.post, "/reset/:secret", limit: .none, use: guarded(in: resetForm, reset))
        routes.page(.get, "/verify/:secret", for: .account, use: verifyForm)
        routes.page(.post, "/verify/:secret", for: .account, use: verify)
    }

    private typealias FormPage = @Sendable (Request, WebContext, Visitor) async throws -> Response

    /// A page with a form for a person who is not signed in.
    private func shown(_ page: @escaping FormPage) -> Routes.OpenHandler {
        { request, context in try await page(request, context, Visitor(request)) }
    }

    /// Reads and checks a form of a visitor. If it is refused, its page is shown again with the entered values.
    private func guarded(
        in page: @escaping FormPage,
        _ handler: @escaping @Sendable (Request, WebContext, Visitor, Form) async throws -> Response
    ) -> Routes.OpenHandler {
        { request, context in
            var visitor = Visitor(request)
            var form = Form("")
            do {
                form = try await Form.read(request, context, visitor.formToken)
                return try await handler(request, context, visitor, form)
            } catch {
                let answer = APIError(error)
                guard answer.status.code < 500 else { throw error }
                guard Self.isTypingMistake(answer) else { return ErrorPage(answer, context).response() }
                visitor.returned = ReturnedForm(form, to: request.uri.path, answer)
                var response = try await page(request, context, visitor)
                response.status = answer.status
                for field in answer.headers { response.headers[field.name] = field.value }
                return response
            }
        }
    }

    /// Whether the person can correct the form. A used link or a forged form is not shown again.
    private static func isTypingMistake(_ error: APIError) -> Bool {
        switch error.status {
        case .badRequest, .unauthorized, .conflict, .tooManyRequests: true
        default: false
        }
    }

    private static func source(_ request: Request, _ context: WebContext) -> AccountOperations.Source {
        AccountOperations.Source(kind: .browser, client: BrowserName.of(request), address: context.address)
    }

    // MARK: Signing in

    @Sendable private func signInForm(
        _ request: Request, _ context: WebContext, _ visitor: Visitor
    ) async throws -> Response {
        let typed = visitor.returned?.values
        let next = Self.safe(typed?["next"]?.first ?? request.uri.queryParameters["next"].map(String.init))
        let form = visitor.form("/sign-in")
        let isNew = typed == nil
        let fields =
            form.hidden("next", next)
            + form.text(
                "username", "Name or e-mail address", autocomplete: "username", more: isNew ? "autofocus" : "")
            + form.text(
                "password", "Password", type: "password", autocomplete: "current-password",
                more: isNew ? "" : "autofocus")
        var links: [HTML] = []
        if accounts.mail.isOn { links.append("<a href=\"/forgotten\">Forgot your password?</a>") }
        if accounts.settings.registration == .open { links.append("<a href=\"/register\">Create an account</a>") }
        let more: HTML = links.isEmpty ? "" : "<p>\(links.joined(separator: " · "))</p>"
        return visitor.page("Sign in", form.html("Sign in", fields) + providers.links(next: next) + more)
    }

    @Sendable private func signIn(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        let source = Self.source(request, context)
        let next = Self.safe(form["next"])
        let login = try form.require("username")
        let step = try await accounts.checkPassword(
            login: login, password: form.raw("password") ?? "", from: source)
        switch step {
        case .done(let user): return try await begin(user, isStrong: false, "password", source, next)
        case .needsCode(let user):
            let pending = try await accounts.tokens.makeStep(
                .secondFactor, subject: user.id, data: ["next": next], now: .now())
            return Response.redirect(to: "/sign-in/code", type: .normal)
                .with(cookie: Cookies.set(Cookies.pending, pending, seconds: AccessTokens.stepSeconds))
        }
    }

    @Sendable private func codeForm(
        _ request: Request, _ context: WebContext, _ visitor: Visitor
    ) async throws -> Response {
        guard try await pending(request) != nil else { return .redirect(to: "/sign-in", type: .normal) }
        let form = visitor.form("/sign-in/code")
        let code = form.text(
            "code", "Code from your authenticator app", autocomplete: "one-time-code",
            hint: "Six digits, or one of your recovery codes.", more: "autofocus")
        return visitor.page("Second factor", form.html("Continue", code))
    }

    @Sendable private func takeCode(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        guard let (user, data) = try await pending(request) else { return .redirect(to: "/sign-in", type: .normal) }
        let source = Self.source(request, context)
        try await accounts.takeCode(try form.require("code"), of: user, from: source)
        let how = data["provider"].map { "\($0) and code" } ?? "password and code"
        return try await ProviderRoutes.enter(user, isStrong: true, how: how, data, accounts, request, context)
            .with(cookie: Cookies.set(Cookies.pending, "", seconds: 0))
    }

    /// The account whose password was entered in this browser within the last ten minutes, and the page to which the browser goes next.
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

    /// Only a path of this server is allowed: a link must not redirect people to other sites.
    static func safe(_ next: String?) -> String {
        guard let next, next.hasPrefix("/"), !next.hasPrefix("//"), !next.contains("\\"),
            next.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return "/home" }
        return next
    }

    @Sendable private func signOut(_ page: PageRequest) async throws -> Response {
        try await accounts.signOut(page.caller)
        return Response.redirect(to: "/sign-in", type: .normal).with(
            cookie: Cookies.set(Cookies.signIn, "", seconds: 0))
    }

    // MARK: Registering

    @Sendable private func registerForm(
        _ request: Request, _ context: WebContext, _ visitor: Visitor
    ) async throws -> Response {
        let invitation =
            visitor.returned?.values["invitation"]?.first { !$0.isEmpty }
            ?? request.uri.queryParameters["invitation"].map(String.init)
        let isAllowed =
            accounts.settings.registration == .open || (accounts.settings.registration == .invited && invitation != nil)
        guard isAllowed else {
            return visitor.page(
                "Registration is closed",
                "<p>Accounts are created by invitation; ask the administrator, or <a href=\"/sign-in\">sign in</a>.</p>",
                status: .forbidden)
        }
        let form = visitor.form("/register")
        let fields =
            form.hidden("invitation", invitation ?? "")
            + form.text(
                "username", "Account name", autocomplete: "username",
                hint: "Letters, digits, dot, hyphen and underscore.", more: "maxlength=\"64\" autofocus")
            + form.text("email", "E-mail address (optional)", type: "email", autocomplete: "email", isRequired: false)
            + Self.newPassword(form, "Password")
        return visitor.page(
            "Create an account",
            form.html("Create account", fields) + "<p><a href=\"/sign-in\">I already have an account</a></p>")
    }

    private static func newPassword(_ form: FormView, _ label: String, more: HTML = "") -> HTML {
        let shortest = AccountSettings.passwordLength.lowerBound
        return form.text(
            "password", label, type: "password", autocomplete: "new-password",
            hint: "\(shortest) characters or more; a few random words are good.",
            more: "minlength=\"\(shortest)\" \(more)")
    }

    @Sendable private func register(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        let made = try await accounts.register(
            username: try form.require("username"), email: form["email"], password: form.raw("password") ?? "",
            invitation: form["invitation"], from: Self.source(request, context))
        return Self.signedIn(made, form["invitation"] == nil ? "/home" : "/organisation")
    }

    // MARK: Links

    @Sendable private func forgottenForm(
        _ request: Request, _ context: WebContext, _ visitor: Visitor
    ) async throws -> Response {
        guard accounts.mail.isOn else {
            return visitor.page(
                "Forgotten password",
                "<p>This server does not send mail; ask its owner for a link with <code>postern user reset</code>.</p>")
        }
        let form = visitor.form("/forgotten")
        let address = form.text(
            "email", "Your e-mail address", type: "email", autocomplete: "email", more: "autofocus")
        return visitor.page(
            "Forgotten password",
            form.html("Send a link", address))
    }

    @Sendable private func forgotten(
        _ request: Request, _ context: WebContext, _ visitor: Visitor, _ form: Form
    ) async throws -> Response {
        try await accounts.askForReset(email: try form.require("email"), from: Self.source(request, context))
        return visitor.page(
            "Check your e-mail",
            "<p>If an account has this verified address, a link has been sent. It is valid for an hour.</p>")
    }

    @Sendable private func resetForm(
        _ request: Request, _ context: WebContext, _ visitor: Visitor
    ) async throws -> Response {
        let secret = try context.parameters.require("secret")
        do {
            let (user, _) = try await database.read {
                try OneTimeLink.find(.resetPassword, secret: secret, now: .now(), in: $0)
            }
            let form = visitor.form("/reset/\(FormText.encoded(secret))")
            return visitor.page(
                "Reset your password",
                "<p>For the account <strong>\(user.username)</strong>. All its sign-ins end.</p>"
                    + form.html("Set the password", Self.newPassword(form, "New password", more: "autofocus")))
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

    /// The page shows a button because mail programs follow links to inspect them.
    @Sendable private func verifyForm(_ page: PageRequest) async throws -> Response {
        let secret = try page.context.parameters.require("secret")
        let (user, email) = try await database.read {
            try OneTimeLink.find(.verifyEmail, secret: secret, now: .now(), in: $0)
        }
        return page.page(
            "Verify your e-mail address",
            Panel.html(
                nil,
                """
                <p>\(email ?? "") becomes the address of the account <strong>\(user.username)</strong>.</p>
                \(Action("/verify/\(FormText.encoded(secret))", "Confirm this address", page.token, isMain: true).html)
                """))
    }

    @Sendable private func verify(_ page: PageRequest) async throws -> Response {
        try await accounts.verifyEmail(secret: try page.context.parameters.require("secret"), by: page.caller)
        return page.back(to: "/account", "Your address is verified.")
    }
}
