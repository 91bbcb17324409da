import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of a person's own account: name, password, address, and the identities that sign in to it.
struct AccountPages: Sendable {
    let database: Database
    let accounts: AccountOperations
    let management: CredentialOperations

    func add(to routes: Routes) {
        routes.page(.get, "/account", for: .account, use: account)
        routes.page(.post, "/account/password", for: .account, in: account, use: changePassword)
        routes.page(.post, "/account/email", for: .account, in: account, use: changeEmail)
        routes.page(.post, "/account/identities/remove", for: .account, in: account, use: removeIdentity)
        routes.page(.get, "/account/sign-ins", for: .account, use: signIns)
        routes.page(.post, "/account/sign-ins/end", for: .account, in: signIns, use: endSignIn)
        routes.page(.post, "/account/sign-ins/end-others", for: .account, in: signIns, use: endOthers)
    }

    @Sendable private func account(_ page: PageRequest) async throws -> Response {
        let user = page.caller.user
        let factor = try await management.secondFactor(of: page.caller)
        let hasPassword = try await database.read { try Password.hash(userId: user.id, in: $0) } != nil
        let identities = try await database.read { try ExternalIdentity.list(of: user.id, in: $0) }
        let address: HTML =
            user.email.map { "\($0) \(Badge.html("unverified", .warning), if: user.emailVerifiedAt == nil)" } ?? "none"
        let second: HTML =
            factor.isOn
            ? "\(Badge.html("on", .ok)) \(factor.recoveryCodesLeft) recovery codes left"
            : "\(Badge.html("off", .warning))"
        let facts = Panel.facts([
            ("Name", "\(user.username)"), ("E-mail", address),
            (
                "Second factor",
                "\(second) · <a href=\"/account/second-factor\">\(factor.isOn ? "Change" : "Set up")</a>"
            ),
            ("Member since", TimeText.html(user.createdAt)),
        ])
        return page.page(
            "Your account",
            Panel.html(nil, facts)
                + Panel.columns([
                    password(page, hasPassword: hasPassword),
                    accounts.mail.isOn ? email(page, hasPassword: hasPassword) : "",
                ]) + Self.identities(identities, page.token))
    }

    private func password(_ page: PageRequest, hasPassword: Bool) -> HTML {
        let form = page.form("/account/password")
        let old: HTML =
            hasPassword
            ? form.text("old", "Old password", type: "password", autocomplete: "current-password") : ""
        let shortest = AccountSettings.passwordLength.lowerBound
        let new = form.text(
            "new", "New password", type: "password", autocomplete: "new-password",
            hint: "\(shortest) characters or more. Your other sign-ins end.", more: "minlength=\"\(shortest)\"")
        return Panel.html(
            hasPassword ? "Change the password" : "Set a password", form.html("Set the password", old + new))
    }

    private func email(_ page: PageRequest, hasPassword: Bool) -> HTML {
        let form = page.form("/account/email")
        let proof: HTML =
            hasPassword
            ? form.text(
                "password", "Your password", type: "password", autocomplete: "current-password", id: "email-password")
            : ""
        let address = form.text(
            "email", "New address", type: "email", autocomplete: "email",
            hint: "It takes effect once you follow the link in the e-mail sent to it.")
        return Panel.html("E-mail address", form.html("Send the link", address + proof))
    }

    private static func identities(_ all: [ExternalIdentity.Listed], _ token: FormToken) -> HTML {
        if all.isEmpty { return "" }
        let rows = all.map { one -> [HTML] in
            [
                "\(one.provider)", "\(one.email ?? "")", TimeText.html(one.createdAt),
                Action(
                    "/account/identities/remove", "Remove", token, ["provider": one.provider, "subject": one.subject]
                ).asks("You can no longer sign in with it."),
            ]
        }
        return Panel.html(
            "Other ways to sign in",
            Table("Other ways to sign in", ["Provider", "E-mail", .short("Since"), .actions], rows).html)
    }

    @Sendable private func removeIdentity(_ page: PageRequest) async throws -> Response {
        let (provider, subject) = (try page.form.require("provider"), try page.form.require("subject"))
        try await management.removeIdentity(provider: provider, subject: subject, of: page.caller)
        return page.back(to: "/account", "\(provider) can no longer be used to sign in.")
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
        return page.back(to: "/account", "A link has been sent to the new address.")
    }

    // MARK: Sign-ins

    @Sendable private func signIns(_ page: PageRequest) async throws -> Response {
        let all = try await database.read { try SignIn.list(userId: page.caller.user.id, now: .now(), in: $0) }
        let rows = all.map { one -> [HTML] in
            let isThis = one.id == page.visit.signIn.id
            return [
                "\(one.client) \(Badge.html("current"), if: isThis)", "\(one.address)",
                TimeText.html(one.createdAt), TimeText.html(one.lastSeenAt),
                Action("/account/sign-ins/end", "End", page.token, ["id": one.id]).html,
            ]
        }
        let table = Table(
            "Where you are signed in", ["Browser", "Address", .short("Since"), .short("Last seen"), .actions], rows)
        let others =
            all.count > 1
            ? Action("/account/sign-ins/end-others", "Sign out everywhere else", page.token)
                .asks("All other browsers must sign in again.") : ""
        return page.page("Sign-ins", Panel.html(nil, table.html + others), lead: "Where you are signed in.")
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
