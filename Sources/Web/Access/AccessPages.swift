import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The page of a tunnel's or a domain's policy, and the sign-in for private tunnels.
struct AccessPages: Sendable {
    let access: AccessOperations

    func add(to routes: Routes) {
        routes.page(.get, "/authorize", for: .account, use: authorize)
        routes.page(.get, "/organisation/tunnels/:id/access", for: .account, use: showTunnel)
        routes.page(.post, "/organisation/tunnels/:id/access", for: .account, in: showTunnel, use: setTunnel)
        routes.page(.get, "/organisation/domains/:id/access", for: .member(.domainRead), use: showDomain)
        routes.page(
            .post, "/organisation/domains/:id/access", for: .member(.domainManage), in: showDomain, use: setDomain)
    }

    // MARK: Signing in

    /// A browser comes here from a private tunnel, and goes back there with a code.
    @Sendable private func authorize(_ page: PageRequest) async throws -> Response {
        let sent = page.request.sentForm
        let host = try sent.require("host")
        let address: String
        switch try await access.authorize(host: host, state: try sent.require("state"), by: page.caller) {
        case .go(let found): address = found
        case .signOn(let organisation):
            let next = FormText.encoded("/authorize?\(page.request.uri.query ?? "")")
            return .redirect(to: "/organisation/sign-on?organisation=\(organisation)&next=\(next)", type: .normal)
        }
        let body: HTML = """
            <h1>Signed in as \(page.caller.user.username)</h1>
            <p>You are being sent to <a href="\(address)">\(host)</a>.</p>
            """
        var response = Page(title: "Sign in to \(host)", body: Page.alone(body)).response
        // Not a redirect: browsers do not follow one to another host after the form of the sign-in page.
        if let refresh = HTTPField.Name("Refresh") { response.headers[refresh] = "0;url=\(address)" }
        response.headers[.cacheControl] = "no-store"
        return response
    }

    // MARK: Policies

    @Sendable private func showTunnel(_ page: PageRequest) async throws -> Response {
        let id = try page.context.parameters.require("id")
        return try await show(page, .tunnel(id), back: "/organisation/tunnels")
    }

    @Sendable private func setTunnel(_ page: PageRequest) async throws -> Response {
        let id = try page.context.parameters.require("id")
        return try await set(page, .tunnel(id), back: "/organisation/tunnels")
    }

    @Sendable private func showDomain(_ page: PageRequest) async throws -> Response {
        let id = try page.context.parameters.require("id")
        return try await show(page, .domain(id), back: "/organisation/domains/\(id)")
    }

    @Sendable private func setDomain(_ page: PageRequest) async throws -> Response {
        let id = try page.context.parameters.require("id")
        return try await set(page, .domain(id), back: "/organisation/domains/\(id)")
    }

    private func show(_ page: PageRequest, _ subject: AccessOperations.Subject, back: String) async throws -> Response {
        let policy = try await access.show(subject, by: page.caller)
        let form = page.form(page.request.uri.path)
        let lines = { (list: [String]?) in (list ?? []).joined(separator: "\n") }
        let signIn: HTML =
            form.check("private", "Members of this organisation only", isOn: policy.members != nil)
            + form.lines(
                "members", "Only these members", value: lines(policy.members), isRequired: false,
                hint: "User names, one per line. Empty allows all members.", more: "class=\"short\"")
            + form.lines(
                "basicAuth", "Passwords", value: lines(policy.basicAuth), isRequired: false,
                hint: "NAME:PASSWORD, one per line. Leave the asterisks to keep a password.", more: "class=\"short\"")
            + form.lines(
                "bearerKeys", "Keys of bearer tokens", value: policy.bearer?.keys ?? "", isRequired: false,
                hint: "A JSON Web Key Set with the public keys that sign tokens.", more: "class=\"short\"")
            + form.text("bearerIssuer", "Issuer", value: policy.bearer?.issuer ?? "", isRequired: false)
            + form.text("bearerAudience", "Audience", value: policy.bearer?.audience ?? "", isRequired: false)
        let addresses: HTML =
            form.lines(
                "allow", "Allowed networks", value: lines(policy.allow), isRequired: false,
                hint: "As in 203.0.113.0/24, one per line. Empty allows all.", more: "class=\"short\"")
            + form.lines(
                "deny", "Refused networks", value: lines(policy.deny), isRequired: false, more: "class=\"short\"")
        let limits: HTML =
            form.text(
                "rate", "Requests per minute and visitor", value: policy.rate.map { "\($0.perMinute)" } ?? "",
                isRequired: false, more: "inputmode=\"numeric\"")
            + form.text(
                "rateHeader", "Header that tells visitors apart", value: policy.rate?.header ?? "", isRequired: false,
                hint: "Empty uses the visitors' addresses.")
            + form.text(
                "concurrency", "Requests at the same time", value: policy.concurrency.map { "\($0)" } ?? "",
                isRequired: false, more: "inputmode=\"numeric\"")
            + form.text(
                "breaker", "Circuit breaker",
                value: policy.breaker.map { "\($0.failures)/\($0.seconds)" } ?? "", isRequired: false,
                hint: "FAILURES/SECONDS: 5/30 refuses requests for 30 s after 5 failures in a row.")
        let headers: HTML =
            form.lines(
                "requestSet", "Set in requests", value: lines(PolicyText.lines(policy.requestHeaders)),
                isRequired: false, hint: "Name: value, one per line.", more: "class=\"short\"")
            + form.lines(
                "requestRemove", "Remove from requests", value: lines(policy.requestHeaders?.remove), isRequired: false,
                more: "class=\"short\"")
            + form.lines(
                "responseSet", "Set in responses", value: lines(PolicyText.lines(policy.responseHeaders)),
                isRequired: false, more: "class=\"short\"")
            + form.lines(
                "responseRemove", "Remove from responses", value: lines(policy.responseHeaders?.remove),
                isRequired: false, more: "class=\"short\"")
        let words = PolicyText.words(policy)
        let now: HTML =
            words.isEmpty ? "Everybody who knows the address may use it." : "\(words.joined(separator: ", "))"
        let body: HTML =
            Panel.html("Now", "<p>\(now)</p>")
            + Panel.html(
                "Change",
                form.html(
                    "Save",
                    """
                    <fieldset><legend>Sign-in: one of these is enough</legend>\(signIn)</fieldset>
                    <fieldset><legend>Addresses</legend>\(addresses)</fieldset>
                    <fieldset><legend>Limits</legend>\(limits)</fieldset>
                    <fieldset><legend>Headers</legend>\(headers)</fieldset>
                    """))
            + "<p><a class=\"button\" href=\"\(back)\">Back</a></p>"
        return page.page(
            "Access", body,
            lead: "Who may use this address, and how requests are limited and changed. Changes apply at once.")
    }

    private func set(_ page: PageRequest, _ subject: AccessOperations.Subject, back: String) async throws -> Response {
        _ = try await access.set(subject, try Self.policy(page.form), by: page.caller)
        return page.back(to: page.request.uri.path, "The policy is saved.")
    }

    private static func policy(_ form: Form) throws -> AccessPolicy {
        func lines(_ name: String) -> [String] {
            (form[name] ?? "").split { $0.isNewline }.map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
        }
        func list(_ name: String) -> [String]? {
            let found = lines(name)
            return found.isEmpty ? nil : found
        }
        func number(_ name: String) throws -> Int? {
            guard let text = form[name], !text.isEmpty else { return nil }
            guard let number = Int(text) else {
                throw APIError.badRequest("\(name): '\(text.prefix(20))' is not a number")
            }
            return number
        }
        var policy = AccessPolicy()
        if form["private"] == "yes" {
            policy.members = lines("members")
        } else if let members = list("members") {
            policy.members = members
        }
        policy.basicAuth = list("basicAuth")
        policy.allow = list("allow")
        policy.deny = list("deny")
        if let keys = form["bearerKeys"], !keys.isEmpty {
            policy.bearer = BearerPolicy(
                issuer: form["bearerIssuer"].flatMap { $0.isEmpty ? nil : $0 },
                audience: form["bearerAudience"].flatMap { $0.isEmpty ? nil : $0 }, keys: keys)
        }
        if let rate = try number("rate") {
            policy.rate = RatePolicy(perMinute: rate, header: form["rateHeader"].flatMap { $0.isEmpty ? nil : $0 })
        }
        policy.concurrency = try number("concurrency")
        do throws(PolicyText.Problem) {
            if let text = form["breaker"], !text.isEmpty { policy.breaker = try PolicyText.breaker(text) }
            policy.requestHeaders = try PolicyText.edits(set: lines("requestSet"), remove: lines("requestRemove"))
            policy.responseHeaders = try PolicyText.edits(set: lines("responseSet"), remove: lines("responseRemove"))
        } catch { throw APIError.badRequest("A value \(error.message)") }
        return policy
    }
}
