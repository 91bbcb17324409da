import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of somebody's own account.
struct AccountPages: Sendable {
    let database: Database
    let accounts: AccountOperations
    let management: CredentialOperations

    func add(to routes: Routes) {
        routes.page(.get, "/account", for: .account, use: account)
        routes.page(.post, "/account/password", for: .account, use: changePassword)
        routes.page(.post, "/account/email", for: .account, use: changeEmail)
        routes.page(.post, "/account/identities/remove", for: .account, use: removeIdentity)
        routes.page(.get, "/account/second-factor", for: .account, use: secondFactor)
        routes.page(.post, "/account/second-factor", for: .account, use: beginSecondFactor)
        routes.page(.post, "/account/second-factor/confirm", for: .account, use: confirmSecondFactor)
        routes.page(.post, "/account/second-factor/recovery-codes", for: .account, use: renewRecoveryCodes)
        routes.page(.post, "/account/second-factor/off", for: .account, use: turnSecondFactorOff)
        routes.page(.get, "/account/tokens", for: .account, use: tokens)
        routes.page(.post, "/account/tokens", for: .member(.tokenCreate), use: createToken)
        routes.page(.post, "/account/tokens/revoke", for: .account, use: revokeToken)
        routes.page(.get, "/account/sign-ins", for: .account, use: signIns)
        routes.page(.post, "/account/sign-ins/end", for: .account, use: endSignIn)
        routes.page(.post, "/account/sign-ins/end-others", for: .account, use: endOthers)
    }

    @Sendable private func account(_ page: PageRequest) async throws -> Response {
        let user = page.caller.user
        let factor = try await management.secondFactor(of: page.caller)
        let hasPassword = try await database.read { try Password.hash(userId: user.id, in: $0) } != nil
        let identities = try await database.read { try ExternalIdentity.list(of: user.id, in: $0) }
        let token = page.visit.formToken
        let address: HTML =
            user.email.map { "\($0)\(user.emailVerifiedAt == nil ? " (not proved)" : "")" } ?? "none"
        let old: HTML =
            hasPassword
            ? Field.text("old", "Old password", type: "password", autocomplete: "current-password") : ""
        let mail: HTML =
            accounts.mail.isOn
            ? """
            <h2>E-mail address</h2><form method="post" action="/account/email">\(token.field)
            \(Field.text("email", "New address", type: "email", autocomplete: "email", hint: "It counts once you have followed the link in a mail to it."))
            \(Field.text("password", "Your password", type: "password", autocomplete: "current-password", id: "email-password"), if: hasPassword)
                <p><button>Send the link</button></p></form>
            """ : ""
        return page.page(
            "Your account",
            """
            <dl><dt>Name</dt><dd>\(user.username)</dd><dt>E-mail</dt><dd>\(address)</dd>
            <dt>Second factor</dt><dd>\(factor.isOn ? "on, \(factor.recoveryCodesLeft) recovery codes left" : "off") \
            (<a href="/account/second-factor">change</a>)</dd><dt>Since</dt><dd>\(user.createdAt.readable)</dd></dl>
            <h2>\(hasPassword ? "Change the password" : "Set a password")</h2>
            <form method="post" action="/account/password">\(token.field)\(old)
            \(Field.text("new", "New password", type: "password", autocomplete: "new-password", hint: "\(AccountSettings.passwordLength.lowerBound) characters or more. Your other sign-ins end."))
            <p><button>Set the password</button></p></form>\(mail)\(Self.identities(identities, token))
            """)
    }

    private static func identities(_ all: [ExternalIdentity.Listed], _ token: FormToken) -> HTML {
        if all.isEmpty { return "" }
        let rows = all.map { one -> [HTML] in
            [
                "\(one.provider)", "\(one.email ?? "")", "\(one.createdAt.readable)",
                Field.action(
                    "/account/identities/remove", "Remove", token, ["provider": one.provider, "subject": one.subject],
                    asks: "You cannot sign in with it any more."),
            ]
        }
        return "<h2>Signing in with others</h2>" + Field.table("Identities", ["Provider", "E-mail", "Since", ""], rows)
    }

    @Sendable private func removeIdentity(_ page: PageRequest) async throws -> Response {
        let (provider, subject) = (try page.form.require("provider"), try page.form.require("subject"))
        try await management.removeIdentity(provider: provider, subject: subject, of: page.caller)
        return page.back(to: "/account", "\(provider) cannot sign you in any more.")
    }

    @Sendable private func changePassword(_ page: PageRequest) async throws -> Response {
        let source = AccountOperations.Source(kind: .browser, client: "", address: page.context.address)
        try await accounts.changePassword(
            old: page.form.raw("old"), new: page.form.raw("new") ?? "", of: page.caller, from: source)
        return page.back(to: "/account", "The password is set; your other sign-ins have ended.")
    }

    @Sendable private func changeEmail(_ page: PageRequest) async throws -> Response {
        try await accounts.setEmail(
            try page.form.require("email"), password: page.form.raw("password"), of: page.caller)
        return page.back(to: "/account", "A link is on its way to the new address.")
    }

    // MARK: Second factor

    @Sendable private func secondFactor(_ page: PageRequest) async throws -> Response {
        let factor = try await management.secondFactor(of: page.caller)
        let token = page.visit.formToken
        if factor.isOn {
            let renew = Field.text("code", "Current code", autocomplete: "one-time-code", id: "renew-code")
            let off = Field.text("code", "Current code", autocomplete: "one-time-code", id: "off-code")
            return page.page(
                "Second factor",
                """
                <p class="ok">It is on. \(factor.recoveryCodesLeft) of \(SecondFactor.recoveryCodeCount) recovery codes are left.</p>
                <h2>New recovery codes</h2><form method="post" action="/account/second-factor/recovery-codes">\(token.field)
                \(renew)<p><button>Make new codes</button></p></form>
                <h2>Turn it off</h2><form method="post" action="/account/second-factor/off">\(token.field)
                \(off)<p><button>Turn it off</button></p></form>
                """)
        }
        let host = page.context.host(page.request)
        guard let seed = try await management.pendingSeed(of: page.caller) else {
            return page.page(
                "Second factor",
                """
                <p>With a second factor, a stolen password is not enough: an authenticator app on your phone shows a new code
                every 30 seconds.</p><form method="post" action="/account/second-factor">\(token.field)<button>Set it up</button></form>
                """)
        }
        let resource = SeedResource(seed: seed, username: page.caller.user.username, host: host)
        return page.page("Second factor", seedBody(resource, token))
    }

    private func seedBody(_ seed: SeedResource, _ token: FormToken) -> HTML {
        let groups = stride(from: 0, to: seed.secret.count, by: 4).map { start in
            String(seed.secret.dropFirst(start).prefix(4))
        }.joined(separator: " ")
        return """
            <ol><li>Open <a href="\(seed.uri)">this link</a> on the phone that has the app, or type this key into the
            app (time-based, six digits):<p><code>\(groups)</code></p></li>
            <li><form method="post" action="/account/second-factor/confirm">\(token.field)
            \(Field.text("code", "The code that the app shows now", autocomplete: "one-time-code", more: "inputmode=\"numeric\" autofocus"))
            <p><button>Turn it on</button></p></form></li></ol>
            """
    }

    @Sendable private func beginSecondFactor(_ page: PageRequest) async throws -> Response {
        _ = try await management.beginSecondFactor(of: page.caller)
        return .redirect(to: "/account/second-factor", type: .normal)
    }

    @Sendable private func confirmSecondFactor(_ page: PageRequest) async throws -> Response {
        shown(page, try await management.confirm(try page.form.require("code"), of: page.caller))
    }

    @Sendable private func renewRecoveryCodes(_ page: PageRequest) async throws -> Response {
        shown(page, try await management.renewRecoveryCodes(try page.form.require("code"), of: page.caller))
    }

    private func shown(_ page: PageRequest, _ codes: [String]) -> Response {
        page.page(
            "Recovery codes",
            """
            <p>Keep these where you keep passwords. Each works once, when the app is lost. They are shown only now.</p>
            <ul>\(codes.map { "<li><code>\($0)</code></li>" as HTML }.joined())</ul><p><a href="/account">I have them</a></p>
            """)
    }

    @Sendable private func turnSecondFactorOff(_ page: PageRequest) async throws -> Response {
        try await management.turnSecondFactorOff(try page.form.require("code"), of: page.caller)
        return page.back(to: "/account", "The second factor is off.")
    }

    // MARK: Tokens

    @Sendable private func tokens(_ page: PageRequest) async throws -> Response { try await tokenList(page, made: nil) }

    private func tokenList(_ page: PageRequest, made: String?) async throws -> Response {
        let token = page.visit.formToken
        let all = try await database.read { try APIToken.list(userId: page.caller.user.id, in: $0) }
        let rows = all.filter { $0.revokedAt == nil }.map { one -> [HTML] in
            [
                "\(one.name)",
                one.scopes.map { "\($0.sorted().map(\.rawValue).joined(separator: ", "))" } ?? "everything",
                "\(one.lastUsedAt?.readable ?? "never")", "\(one.expiresAt?.readable ?? "never")",
                Field.action(
                    "/account/tokens/revoke", "Revoke", token, ["id": one.id],
                    asks: "Programs that use it are refused, and their connections end."),
            ]
        }
        let boxes = Field.permissions("scope", PermissionKey.ofOrganisations)
        let new: HTML =
            made.map {
                "<p class=\"notice\" role=\"status\">The new token, shown only now:<br><code>\($0)</code></p>"
            } ?? ""
        return page.page(
            "API tokens",
            """
            \(new)\(Field.table("Your tokens", ["Name", "May", "Last used", "Ends", ""], rows))
            <h2>A new token</h2><form method="post" action="/account/tokens">\(token.field)
            \(Field.text("name", "What it is for", more: "maxlength=\"64\""))
            \(Field.text("days", "Days until it ends (empty: never)", type: "number", isRequired: false, more: "min=\"1\" max=\"3660\""))
            <fieldset><legend>What it may do (none ticked: everything you may)</legend>\(boxes)</fieldset>
            <p><button>Make the token</button></p></form>
            """)
    }

    @Sendable private func createToken(_ page: PageRequest) async throws -> Response {
        let scopes = page.form.all("scope")
        let days = page.form["days"]
        guard days == nil || days.flatMap(Int.init) != nil else { throw APIError.badRequest("days is not a number") }
        let (_, secret) = try await management.createToken(
            name: try page.form.require("name"), scopes: scopes.isEmpty ? nil : try Set.parse(scopes, field: "scope"),
            days: days.flatMap(Int.init), for: page.caller)
        return try await tokenList(page, made: secret)
    }

    @Sendable private func revokeToken(_ page: PageRequest) async throws -> Response {
        try await management.revokeToken(try page.form.require("id"), of: page.caller)
        return page.back(to: "/account/tokens", "The token is revoked.")
    }

    // MARK: Sign-ins

    @Sendable private func signIns(_ page: PageRequest) async throws -> Response {
        let token = page.visit.formToken
        let all = try await database.read { try SignIn.list(userId: page.caller.user.id, now: .now(), in: $0) }
        let rows = all.map { one -> [HTML] in
            [
                "\(one.client)\(" (this one)", if: one.id == page.visit.signIn.id)", "\(one.address)",
                "\(one.createdAt.readable)", "\(one.lastSeenAt.readable)",
                Field.action("/account/sign-ins/end", "End", token, ["id": one.id]),
            ]
        }
        return page.page(
            "Sign-ins",
            Field.table("Where you are signed in", ["Client", "Address", "Since", "Last seen", ""], rows)
                + Field.action(
                    "/account/sign-ins/end-others", "Sign out everywhere else", token,
                    asks: "All other browsers have to sign in again."))
    }

    @Sendable private func endSignIn(_ page: PageRequest) async throws -> Response {
        try await management.endSignIn(try page.form.require("id"), of: page.caller)
        return page.back(to: "/account/sign-ins", "The sign-in has ended.")
    }

    @Sendable private func endOthers(_ page: PageRequest) async throws -> Response {
        try await management.signOutEverywhere(page.caller)
        return page.back(to: "/account/sign-ins", "All other sign-ins have ended.")
    }
}
