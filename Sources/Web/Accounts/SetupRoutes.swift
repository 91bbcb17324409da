import Glibc
import HTTPTypes
import Hummingbird
import Identity
import Model
import NIOCore
import Operations
import Storage
import TransportSecurity
import Wire

/// `/setup/SECRET`: the one-time page that creates the first administrator.
struct SetupRoutes: Sendable {
    let accounts: AccountOperations
    /// The path of the file that contains the link for the owner.
    let setupLinkPath: String
    /// The server's certificate.
    let certificate: @Sendable () -> CertificateReport?

    func add(to routes: Routes) {
        routes.openPage(.get, "/setup/:secret", limit: .publicCalls, use: form)
        routes.openPage(.post, "/setup/:secret", limit: .publicCalls, use: make)
    }

    @Sendable private func form(_ request: Request, _ context: WebContext) async throws -> Response {
        let secret = try secret(context)
        guard try await accounts.isSetupLinkGood(secret) else {
            return used.response
        }
        return question(request.uri.path).response
    }

    /// - Parameter returned: the form that was just sent and refused.
    private func question(_ path: String, _ returned: ReturnedForm? = nil) -> Page {
        let shortest = AccountSettings.passwordLength.lowerBound
        let form = FormView(path, nil, returned)
        let notice: HTML = returned.map { Panel.notice("<p>\($0.message)</p>", .bad, role: "alert") } ?? ""
        let fields =
            form.text(
                "username", "Account name", autocomplete: "username",
                hint: "Letters, digits, dot, hyphen and underscore.",
                more: "maxlength=\"64\" pattern=\"[A-Za-z0-9._\\-]+\" autofocus")
            + form.text(
                "password", "Password", type: "password", autocomplete: "new-password",
                hint: "\(shortest) characters or more; a few random words are good.",
                more: "minlength=\"\(shortest)\"")
        return Page(
            title: "Set up this Postern server",
            body: Page.alone(
                """
                <h1>Set up this Postern server</h1>\(notice)<p>This account becomes the administrator. This page can be used once.</p>
                \(Panel.html(nil, form.html("Create account", fields)))
                """), hasForm: true)
    }

    @Sendable private func make(_ request: Request, _ context: WebContext) async throws -> Response {
        let secret = try secret(context)
        let form = try await Form.read(request, context)
        let made: (User, APIToken)
        do {
            made = try await accounts.setUp(
                secret: secret, username: form["username"] ?? "", password: form.raw("password") ?? "")
        } catch let refusal as Refusal where refusal.code == .setUp {
            return used.response
        } catch {
            // If a name is taken or a password is too short, the person can correct the form.
            let answer = APIError(error)
            guard answer.status.kind == .clientError else { throw error }
            let path = request.uri.path
            var response = question(path, ReturnedForm(form, to: path, answer)).response
            response.status = answer.status
            return response
        }
        let (user, token) = made
        // The file is no longer needed: its link cannot be used again.
        unlink(setupLinkPath)
        let source = AccountOperations.Source(
            kind: .browser, client: BrowserName.of(request), address: context.address)
        let signedIn = try await accounts.startSignIn(user, isStrong: false, how: "setup link", from: source)
        return Page(
            title: "Setup is complete",
            body: Page.alone(
                """
                <h1 class="ok">Setup is complete, \(user.username)</h1>
                \(Panel.html("Your API token", "<p>It is shown only once; store it with your passwords:</p>\(Copyable.html(token.secret))"))
                \(Panel.html("Next, on your own machine", Copyable.html("postern login \(address(of: request))\(pin)") + Copyable.html("postern share")))
                <p>You are signed in here: open the <a href="/home">overview</a>, set up <a href="/account/second-factor">a second factor</a>,
                or create <a href="/organisation">a team</a>.</p>
                """, isWide: true)
        ).response.with(
            cookie: Cookies.set(Cookies.signIn, signedIn.secret ?? "", seconds: SignIn.Kind.browser.lifetimeSeconds))
    }

    /// The address for signing in from a machine: the address of this page, unless the configuration sets one.
    private func address(of request: Request) -> String {
        accounts.settings.publicURL ?? request.head.authority.map { "https://\($0)" } ?? "this server's address"
    }

    /// The fingerprint of a self-signed certificate.
    private var pin: String {
        guard let facts = certificate()?.facts, facts.isSelfSigned else { return "" }
        return " --fingerprint \(facts.fingerprint)"
    }

    private func secret(_ context: WebContext) throws -> String {
        return try context.parameters.require("secret")
    }

    private var used: Page {
        Page(
            title: "This link is no longer valid",
            body: Page.alone(
                """
                <h1 class="warning">This link is no longer valid</h1>
                <p>It was used, is older than 30 minutes, or a newer one was created. On the server, <code>postern setup</code> prints
                a new one, or says that the server already has an administrator.</p>
                """))
    }
}
