import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages about an organisation's people: members, invitations, and accepting one.
struct MemberPages: Sendable {
    let database: Database
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/members", for: .member(.tenantRead), use: members)
        routes.page(.post, "/organisation/members/role", for: .member(.tenantManageMembers), use: setRole)
        routes.page(.post, "/organisation/members/remove", for: .member(.tenantManageMembers), use: remove)
        routes.page(.post, "/organisation/members/transfer", for: .member(.tenantTransfer), use: transfer)
        routes.page(.post, "/organisation/invitations", for: .member(.tenantManageMembers), use: invite)
        routes.page(.post, "/organisation/invitations/revoke", for: .member(.tenantManageMembers), use: revoke)
        routes.openPage(.get, "/invitation/:secret", limit: .publicCalls, use: invitation)
        routes.page(.post, "/invitation/:secret", for: .account, use: accept)
    }

    @Sendable private func members(_ page: PageRequest) async throws -> Response { try await list(page, link: nil) }

    private struct Lists: Sendable {
        let own: Member
        let members: [Member]
        let roles: [Role]
        let invitations: [Invitation]
    }

    private func list(_ page: PageRequest, link: String?) async throws -> Response {
        let after = page.query("after") ?? ""
        let lists = try await service.read(page.caller.organisationId, .tenantRead, by: page.caller) { own, scope in
            Lists(
                own: own, members: try Member.list(after: after, in: scope), roles: try Role.list(in: scope),
                invitations: own.may(.tenantManageMembers) ? try Invitation.list(now: .now(), in: scope) : [])
        }
        let made: HTML? = link.map {
            """
            <p class="notice" role="status">Give this link to the person; it works once, for a week, and is shown only now:<br>\
            <code>\($0)</code></p>
            """
        }
        let people = table(lists, page) + more(after: lists.members)
        return page.page("Members", (made ?? "") + people + invitations(lists, page))
    }

    /// A link to the next page, where there may be one.
    private func more(after members: [Member]) -> HTML {
        guard members.count == Member.pageSize, let last = members.last else { return "" }
        return "<p><a href=\"/organisation/members?after=\(FormText.encoded(last.user.username))\">More</a></p>"
    }

    private func table(_ lists: Lists, _ page: PageRequest) -> HTML {
        let token = page.visit.formToken
        let rows = lists.members.map { member -> [HTML] in
            let id = member.user.id
            var actions: HTML = ""
            if lists.own.may(.tenantManageMembers) && id != lists.own.user.id {
                actions =
                    actions + """
                        <form method="post" action="/organisation/members/role">\(token.field)\(Field.hidden("user", id))
                        \(select(lists.roles, chosen: member.role.id, label: "Role of \(member.user.username)"))<button>Change</button></form>
                        \(Field.action("/organisation/members/remove", "Remove", token, ["user": id], asks: "\(member.user.username) loses access to everything of this organisation at once."))
                        """
            }
            if lists.own.may(.tenantTransfer) && id != lists.own.user.id {
                actions =
                    actions
                    + Field.action(
                        "/organisation/members/transfer", "Make owner", token, ["user": id],
                        asks:
                            "\(member.user.username) becomes the owner, and you become an admin. Only \(member.user.username) can undo it."
                    )
            }
            return [
                "\(member.user.username)", "\(member.user.email ?? "")", "\(member.role.name)",
                "\(member.since.readable)",
                actions,
            ]
        }
        return Field.table("Members", ["Name", "E-mail", "Role", "Since", ""], rows)
    }

    private func select(_ roles: [Role], chosen: String, label: String) -> HTML {
        let options = roles.map {
            "<option value=\"\($0.id)\"\(" selected", if: $0.id == chosen)>\($0.name)</option>" as HTML
        }.joined()
        return "<select name=\"role\" aria-label=\"\(label)\">\(options)</select>"
    }

    private func invitations(_ lists: Lists, _ page: PageRequest) -> HTML {
        guard lists.own.may(.tenantManageMembers) else { return "" }
        if lists.own.organisation.personalOf != nil {
            return "<p>This is your account's own organisation. For a team, <a href=\"/organisation\">make one</a>.</p>"
        }
        let token = page.visit.formToken
        let names = Dictionary(lists.roles.map { ($0.id, $0.name) }) { first, _ in first }
        let rows = lists.invitations.map { one -> [HTML] in
            [
                "\(one.email ?? "whoever has the link")", "\(names[one.roleId] ?? "")", "\(one.invitedBy)",
                "\(one.expiresAt.readable)",
                Field.action(
                    "/organisation/invitations/revoke", "Revoke", token, ["id": one.id],
                    asks: "The link of this invitation stops working."),
            ]
        }
        return """
            <h2>Invitations</h2>\(Field.table("Open invitations", ["For", "Role", "By", "Until", ""], rows))
            <form method="post" action="/organisation/invitations">\(token.field)
            \(Field.text("email", "E-mail address (optional)", type: "email", isRequired: false, hint: "With an address only the account that has proved it can accept."))
            <p>\(select(lists.roles, chosen: "member", label: "Role")) <button>Invite</button></p></form>
            """
    }

    @Sendable private func setRole(_ page: PageRequest) async throws -> Response {
        let changed = try await service.setRole(
            of: try page.form.require("user"), to: try page.form.require("role"), in: page.caller.organisationId,
            by: page.caller)
        return page.back(to: "/organisation/members", "\(changed.user.username) is \(changed.role.name) now.")
    }

    @Sendable private func remove(_ page: PageRequest) async throws -> Response {
        try await service.remove(try page.form.require("user"), from: page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation/members", "Removed.")
    }

    @Sendable private func transfer(_ page: PageRequest) async throws -> Response {
        let owner = try await service.transfer(
            page.caller.organisationId, to: try page.form.require("user"), by: page.caller)
        return page.back(to: "/organisation/members", "\(owner.user.username) is the owner now, and you are an admin.")
    }

    @Sendable private func invite(_ page: PageRequest) async throws -> Response {
        let made = try await service.invite(
            email: page.form["email"], role: try page.form.require("role"), to: page.caller.organisationId,
            by: page.caller)
        let base = service.mail.publicURL ?? page.request.head.authority.map { "https://\($0)" } ?? ""
        return try await list(page, link: "\(base)/invitation/\(made.secret)")
    }

    @Sendable private func revoke(_ page: PageRequest) async throws -> Response {
        try await service.revokeInvitation(
            try page.form.require("id"), in: page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation/members", "The invitation is revoked.")
    }

    // MARK: Accepting

    @Sendable private func invitation(_ request: Request, _ context: WebContext) async throws -> Response {
        let secret = try context.parameters.require("secret")
        let found: (Invitation, Organisation)
        do {
            found = try await database.read { try Invitation.find(secret: secret, now: .now(), in: $0) }
        } catch let refusal as Refusal { return ErrorPage(APIError(refusal), context).response() }
        let name = found.1.name
        let visitor = Visitor(request)
        if let visit = try await service.authenticator.visit(of: request, context) {
            let body: HTML =
                "<p>You are invited to <strong>\(name)</strong> by \(found.0.invitedBy).</p>"
                + Field.action("/invitation/\(FormText.encoded(secret))", "Join \(found.1.name)", visit.formToken)
            return Page(
                title: "An invitation", body: Navigation.wrapped(title: "An invitation", body, notice: nil, visit),
                hasForm: true
            ).response
        }
        let path = FormText.encoded("/invitation/\(secret)")
        return visitor.page(
            "An invitation",
            """
            <p>You are invited to <strong>\(name)</strong> by \(found.0.invitedBy).</p>
            <ul><li><a href="/sign-in?next=\(path)">Sign in and join</a></li>
            <li><a href="/register?invitation=\(FormText.encoded(secret))">Make an account and join</a></li></ul>
            """)
    }

    @Sendable private func accept(_ page: PageRequest) async throws -> Response {
        let member = try await service.accept(try page.context.parameters.require("secret"), by: page.caller)
        _ = try await service.switchTo(member.organisation.id, by: page.caller)
        return page.back(to: "/organisation", "Welcome to \(member.organisation.name).")
    }
}
