import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// `/administration/people`: every account, and open invitations.
struct PeoplePages: Sendable {
    /// The number of accounts on one page.
    private static let pageSize = 100

    let database: Database
    let mail: AccountMail

    func add(to routes: Routes) {
        let path = "/administration/people"
        routes.page(.get, path, for: .administrator, use: people)
        routes.page(.post, path, for: .administrator, in: people, use: add)
        routes.page(.post, "\(path)/plan", for: .administrator, in: people, use: setPlan)
        routes.page(.post, "\(path)/reset", for: .administrator, in: people, use: reset)
        routes.page(.post, "\(path)/disable", for: .administrator, in: people, use: disable)
        routes.page(.post, "\(path)/enable", for: .administrator, in: people, use: enable)
        routes.page(.post, "\(path)/revoke-invitation", for: .administrator, in: people, use: revokeInvitation)
    }

    private func administration(_ page: PageRequest) -> AccountAdministration {
        AccountAdministration(database: database, actor: Audit.Actor(page.caller))
    }

    @Sendable private func people(_ page: PageRequest) async throws -> Response {
        try await list(page, link: nil)
    }

    private func list(_ page: PageRequest, link: (name: String, secret: String)?) async throws -> Response {
        let after = page.query("after") ?? ""
        let all = try await administration(page).list(after: after, limit: Self.pageSize)
        let invitations = try await OrganisationAdministration(database: database, actor: Audit.Actor(page.caller))
            .invitations()
        let base = mail.publicURL ?? page.request.ownURL ?? ""
        let made: HTML =
            link.map {
                Panel.notice(
                    """
                    <p>Send this link to \($0.name). It sets the password, can be used once within an hour, and is shown only once:</p>
                    \(Copyable.html("\(base)/reset/\($0.secret)"))
                    """, .ok)
            } ?? ""
        let more: HTML =
            all.count == Self.pageSize
            ? "<p><a class=\"button\" href=\"/administration/people?after=\(FormText.encoded(all.last?.user.username ?? ""))\">More</a></p>"
            : ""
        return page.page(
            "Users",
            made + Panel.html(nil, table(all, page) + more) + Panel.html("Add a user", form(page))
                + Panel.html("Open invitations to organisations", table(invitations, page)),
            lead: "Everyone with an account on this server.")
    }

    private func table(_ all: [(user: User, plan: Plan)], _ page: PageRequest) -> HTML {
        let rows = all.map { user, plan -> [HTML] in
            let plans = page.form("/administration/people/plan")
            let choice = plans.choice("plan", "Plan of \(user.username)", Self.plans, chosen: plan.rawValue)
            let planForm: HTML = """
                <form method="post" action="\(plans.action)" class="inline">\(page.token.field)\(plans.hidden("name", user.username))\
                \(choice) <button>Set</button></form>
                """
            let marks: HTML = """
                \(Badge.html("administrator"), if: user.isAdmin) \(Badge.html("disabled", .bad), if: user.disabledAt != nil)
                """
            return [
                "\(user.username) \(marks)", "\(user.email ?? "")", TimeText.html(user.createdAt), planForm,
                actions(user, page),
            ]
        }
        return Table("Users", ["Name", "E-mail", .short("Since"), "Plan", .actions], rows).html
    }

    private static let plans = Plan.allCases.map { ($0.rawValue, $0.rawValue) }

    private func actions(_ user: User, _ page: PageRequest) -> HTML {
        let fields = ["name": user.username]
        let reset = Action("/administration/people/reset", "Password link", page.token, fields).html
        if user.id == page.caller.user.id { return reset }
        if user.disabledAt != nil {
            return Action("/administration/people/enable", "Enable", page.token, fields).html
        }
        return reset
            + Action("/administration/people/disable", "Disable", page.token, fields)
            .asks("\(user.username)'s sign-ins end, tokens are refused and connections are closed. Nothing is deleted.")
    }

    private func form(_ page: PageRequest) -> HTML {
        let form = page.form("/administration/people")
        return form.html(
            "Add account",
            form.text(
                "name", "Account name", hint: "Letters, digits, dot, hyphen and underscore.",
                more: "maxlength=\"64\"")
                + form.select("plan", "Plan", [("", "the server's default")] + Self.plans)
                + form.check("admin", "Administrator of this server", isOn: false) + "<br>")
    }

    private func table(_ all: [(invitation: Invitation, organisation: String)], _ page: PageRequest) -> HTML {
        let rows = all.map { invitation, organisation -> [HTML] in
            [
                "\(invitation.email ?? "anyone with the link")", "\(organisation)", "\(invitation.invitedBy)",
                TimeText.html(invitation.expiresAt),
                Action(
                    "/administration/people/revoke-invitation", "Revoke", page.token,
                    ["id": invitation.id, "organisation": invitation.organisationId]
                ).asks("The link of this invitation stops working."),
            ]
        }
        return Table("Open invitations", ["For", "To", "By", .short("Until"), .actions], rows).html
    }

    // MARK: Changing

    @Sendable private func add(_ page: PageRequest) async throws -> Response {
        let name = try page.form.require("name")
        let plan = try page.form["plan"].map { try Self.plan($0) }
        let secret = try await administration(page).invite(
            name: name, plan: plan, isAdmin: page.form["admin"] == "yes")
        return try await list(page, link: (name, secret))
    }

    private static func plan(_ word: String) throws -> Plan {
        guard let plan = Plan(rawValue: word) else { throw APIError.badRequest("plan: there is no plan \(word).") }
        return plan
    }

    @Sendable private func setPlan(_ page: PageRequest) async throws -> Response {
        let (name, plan) = (try page.form.require("name"), try Self.plan(try page.form.require("plan")))
        try await administration(page).setPlan(plan, of: name)
        return page.back(to: "/administration/people", "\(name) is now on the plan \(plan.rawValue).")
    }

    @Sendable private func reset(_ page: PageRequest) async throws -> Response {
        let name = try page.form.require("name")
        return try await list(page, link: (name, try await administration(page).resetLink(name)))
    }

    @Sendable private func disable(_ page: PageRequest) async throws -> Response {
        let name = try page.form.require("name")
        try await administration(page).disable(name)
        return page.back(to: "/administration/people", "\(name) is disabled.")
    }

    @Sendable private func enable(_ page: PageRequest) async throws -> Response {
        let name = try page.form.require("name")
        try await administration(page).enable(name)
        return page.back(to: "/administration/people", "\(name) is enabled.")
    }

    @Sendable private func revokeInvitation(_ page: PageRequest) async throws -> Response {
        let (id, organisation) = (try page.form.require("id"), try page.form.require("organisation"))
        try await OrganisationAdministration(database: database, actor: Audit.Actor(page.caller))
            .revokeInvitation(id, to: organisation)
        return page.back(to: "/administration/people", "The invitation is revoked.")
    }
}
