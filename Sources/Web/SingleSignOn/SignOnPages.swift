import HTTPTypes
import Hummingbird
import Identity
import Logging
import Model
import NIOCore
import Operations
import Storage

/// The pages of an organisation's single sign-on: for its owner, and for members on their way through it.
struct SignOnPages: Sendable {
    /// The purpose of the step in the browser's cookie; no provider of the server has this name.
    private static let subject = "organisation"
    static let callbackPath = "/auth/organisation/callback"

    let signOn: SignOnOperations
    let tokens: AccessTokens
    let publicURL: String?
    let logger: Logger

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/sign-on", for: .account, use: ask)
        routes.page(.get, "/organisation/sign-on/begin", for: .account, use: begin)
        routes.page(.get, Self.callbackPath, for: .account, use: finish)
        routes.page(.get, "/organisation/single-sign-on", for: .memberBeforeSignOn(.signOnManage), use: settings)
        routes.page(
            .post, "/organisation/single-sign-on", for: .memberBeforeSignOn(.signOnManage), in: settings, use: change)
        routes.page(
            .post, "/organisation/single-sign-on/remove", for: .memberBeforeSignOn(.signOnManage), in: settings,
            use: remove)
    }

    // MARK: Members

    private static func organisation(_ page: PageRequest) -> String {
        page.request.sentForm["organisation"] ?? page.caller.organisationId
    }

    /// A link and no redirect: browsers do not follow a redirect to another host after a form, such as the sign-in's.
    @Sendable private func ask(_ page: PageRequest) async throws -> Response {
        let (provider, organisation) = try await signOn.provider(of: Self.organisation(page), for: page.caller)
        let next = SignInPages.safe(page.request.sentForm["next"])
        let target =
            "/organisation/sign-on/begin?organisation=\(FormText.encoded(organisation.id))&next=\(FormText.encoded(next))"
        return page.page(
            "Single sign-on",
            Panel.html(
                organisation.name,
                """
                <p>\(organisation.name) has its own single sign-on: sign in at <strong>\(provider.authority)</strong> to continue.
                It counts for this browser and \(Int(SingleSignOn.seconds) / 3600) hours.</p>
                <p><a class="button main" href="\(target)">Continue</a></p>
                """))
    }

    @Sendable private func begin(_ page: PageRequest) async throws -> Response {
        let organisation = Self.organisation(page)
        let (provider, _) = try await signOn.provider(of: organisation, for: page.caller)
        let data: [String: String] = [
            "state": RandomText.make(letters: 43), "nonce": RandomText.make(letters: 43),
            "verifier": RandomText.make(letters: 64), "organisation": organisation,
            "next": SignInPages.safe(page.request.sentForm["next"]), "credential": page.caller.credential.id ?? "",
        ]
        let step = try await tokens.makeStep(.provider, subject: Self.subject, data: data, now: .now())
        do {
            let address = try await provider.authorizationURL(attempt(data, page.request))
            return Response.redirect(to: address, type: .found)
                .with(cookie: Cookies.set(Cookies.signOn, step, seconds: AccessTokens.stepSeconds))
        } catch let error as IdentityError { throw failed(error) }
    }

    private func attempt(_ data: [String: String], _ request: Request) -> ProviderAttempt {
        let base = publicURL ?? request.ownURL ?? "https://localhost"
        return ProviderAttempt(
            state: data["state"] ?? "", nonce: data["nonce"] ?? "", verifier: data["verifier"] ?? "",
            redirectURL: "\(base)\(Self.callbackPath)")
    }

    @Sendable private func finish(_ page: PageRequest) async throws -> Response {
        let sent = page.request.sentForm
        // Bound to the browser and to its sign-in: somebody else's answer cannot be put here.
        guard let text = Cookies.value(Cookies.signOn, of: page.request),
            let data = try await tokens.step(.provider, text, now: .now()).flatMap({
                $0.subject == Self.subject ? $0.data : nil
            }),
            let state = data["state"], sent["state"] == state, let organisation = data["organisation"],
            data["credential"] == page.caller.credential.id
        else {
            throw APIError(
                .badRequest, "state_wrong", "This sign-on was started elsewhere or has expired; start again.")
        }
        let (provider, _) = try await signOn.provider(of: organisation, for: page.caller)
        do {
            guard let code = sent["code"], !code.isEmpty else {
                let word = sent["error"].map { String($0.prefix(100)) } ?? "no code"
                throw IdentityError(.provider, "\(provider.title) refused the sign-on: \(word)")
            }
            let person = try await provider.person(code: code, attempt(data, page.request))
            try await signOn.signedOn(person, in: organisation, by: page.caller)
        } catch let error as IdentityError { throw failed(error) }
        return Response.redirect(to: SignInPages.safe(data["next"]), type: .normal)
            .with(cookie: Cookies.set(Cookies.signOn, "", seconds: 0))
    }

    private func failed(_ error: IdentityError) -> APIError {
        logger.warning("single sign-on failed", metadata: ["error": "\(error)"])
        return APIError(.badGateway, error.code.rawValue, "The sign-on failed: \(error.message).")
    }

    // MARK: The owner

    @Sendable private func settings(_ page: PageRequest) async throws -> Response {
        let known = try await signOn.show(of: page.caller.organisationId, by: page.caller)
        let removal = Panel.html(
            "Remove",
            Action("/organisation/single-sign-on/remove", "Remove", page.token)
                .asks("Members need only their accounts from now on."))
        guard signOn.isOn else {
            return page.page(
                "Single sign-on",
                Panel.empty(
                    "Not available on this server",
                    "<p>The administrator turns it on with <code>organisation-issuers</code>.</p>")
                    + (known == nil ? "" : removal))
        }
        let form = page.form("/organisation/single-sign-on")
        let callback = "\(publicURL ?? page.request.ownURL ?? "")\(Self.callbackPath)"
        let fields: HTML =
            form.text(
                "issuer", "Issuer", value: known?.issuer ?? "", hint: "As in https://id.example.org",
                more: "maxlength=\"512\"")
            + form.text("clientId", "Client id", value: known?.clientId ?? "", more: "maxlength=\"256\"")
            + form.text(
                "clientSecret", "Client secret", type: "password", isRequired: known == nil,
                hint: known == nil ? nil : "Empty keeps the stored one.")
            + form.check(
                "required", "Members need it for everything in this organisation", isOn: known?.isRequired ?? false)
            + form.check("tunnels", "Visitors of private tunnels need it", isOn: known?.isForTunnels ?? false)
        var parts: HTML = Panel.html(
            "Your issuer",
            """
            <p>Register Postern with your OpenID Connect provider, with this address to return to:</p>
            \(Copyable.html(callback))\(form.html("Save", fields))
            """)
        if known != nil {
            parts =
                parts
                + Panel.html(
                    "Try it",
                    """
                    <p>Before you can require it, sign on yourself: a mistake would lock everybody out.</p>
                    <p><a class="button" href="/organisation/sign-on?next=/organisation/single-sign-on">Sign on now</a></p>
                    """)
                + removal
        }
        return page.page(
            "Single sign-on", parts,
            lead: "Members prove who they are at your own OpenID Connect provider, in addition to their account.")
    }

    @Sendable private func change(_ page: PageRequest) async throws -> Response {
        let secret = page.form["clientSecret"].flatMap { $0.isEmpty ? nil : $0 }
        let changed = try await signOn.set(
            page.caller.organisationId, issuer: try page.form.require("issuer"),
            clientId: try page.form.require("clientId"), secret: secret, isRequired: page.form["required"] == "yes",
            isForTunnels: page.form["tunnels"] == "yes", by: page.caller)
        let next = changed?.isRequired == true ? "Members need it from now on." : "Saved. Now sign on once yourself."
        return page.back(to: "/organisation/single-sign-on", next)
    }

    @Sendable private func remove(_ page: PageRequest) async throws -> Response {
        try await signOn.remove(page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation/single-sign-on", "Removed.")
    }
}
