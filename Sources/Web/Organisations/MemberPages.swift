import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages about an organisation's people: members, invitations, and accepting an invitation.
struct MemberPages: Sendable {
    let database: Database
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/members", for: .member(.tenantRead), use: members)
        let (path, invitations) = ("/organisation/members", "/organisation/invitations")
        routes.page(.post, "\(path)/role", for: .member(.tenantManageMembers), in: members, use: setRole)
        routes.page(.post, "\(path)/remove", for: .member(.tenantManageMembers), in: members, use: remove)
        routes.page(.post, "\(path)/transfer", for: .member(.tenantTransfer), in: members, use: transfer)
        routes.page(.post, invitations, for: .member(.tenantManageMembers), in: members, use: invite)
        routes.page(.post, "\(invitations)/revoke", for: .member(.tenantManageMembers), in: members, use: revoke)
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
        let made: HTML =
            link.map {
                Panel.notice(
                    """
                    <p>Send this link to the person; it can be used once within a week, and is shown only once:</p>\(Copyable.html($0))
                    """, .ok)
            } ?? ""
        let people = table(lists, page) + more(after: lists.members)
        return page.page("Members", made + Panel.html(nil, people) + invitations(lists, page))
    }

    /// A link to the next page, if there may be one.
    private func more(after members: [Member]) -> HTML {
        guard members.count == Member.pageSize, let last = members.last else { return "" }
        return
            "<p><a class=\"button\" href=\"/organisation/members?after=\(FormText.encoded(last.user.username))\">More</a></p>"
    }

    private func table(_ lists: Lists, _ page: PageRequest) -> HTML {
        let rows = lists.members.map { member -> [HTML] in
            [
                "\(member.user.username) \(Badge.html("you"), if: member.user.id == lists.own.user.id)",
                "\(member.user.email ?? "")", "\(member.role.name)", TimeText.html(member.since),
                actions(member, lists, page),
            ]
        }
        return Table("Members", ["Name", "E-mail", .short("Role"), .short("Since"), .actions], rows).html
    }

    private func actions(_ member: Member, _ lists: Lists, _ page: PageRequest) -> HTML {
        let (id, name, own) = (member.user.id, member.user.username, lists.own)
        guard id != own.user.id else { return "" }
        var actions: HTML = ""
        if own.may(.tenantManageMembers) {
            let form = page.form("/organisation/members/role")
            let roles = form.choice("role", "Role of \(name)", Self.options(lists.roles), chosen: member.role.id)
            actions = """
                <form method="post" action="\(form.action)" class="inline">\(page.token.field)\(form.hidden("user", id))\(roles) \
                <button>Change</button></form>
                """
            actions =
                actions
                + Action("/organisation/members/remove", "Remove", page.token, ["user": id])
                .asks("\(name) immediately loses access to everything in this organisation.")
        }
        if own.may(.tenantTransfer) {
            actions =
                actions
                + Action("/organisation/members/transfer", "Make owner", page.token, ["user": id])
                .asks("\(name) becomes the owner, and you become an admin. Only \(name) can undo it.")
        }
        return actions
    }

    private static func options(_ roles: [Role]) -> [(String, String)] { roles.map { ($0.id, $0.name) } }

    private func invitations(_ lists: Lists, _ page: PageRequest) -> HTML {
        guard lists.own.may(.tenantManageMembers) else { return "" }
        if lists.own.organisation.personalOf != nil {
            return Panel.empty(
                "This is your personal organisation",
                "<p>For a team, <a href=\"/organisation\">create one</a> and invite people to it.</p>")
        }
        let names = Dictionary(lists.roles.map { ($0.id, $0.name) }) { first, _ in first }
        let rows = lists.invitations.map { one -> [HTML] in
            [
                "\(one.email ?? "anyone with the link")", "\(names[one.roleId] ?? "")", "\(one.invitedBy)",
                TimeText.html(one.expiresAt),
                Action("/organisation/invitations/revoke", "Revoke", page.token, ["id": one.id])
                    .asks("The link of this invitation stops working."),
            ]
        }
        let form = page.form("/organisation/invitations")
        let fields =
            form.text(
                "email", "E-mail address (optional)", type: "email", isRequired: false,
                hint: "With an address, only the account that has verified it can accept.")
            + form.select("role", "Role", Self.options(lists.roles), chosen: "member")
        let open = Table("Open invitations", ["For", .short("Role"), "By", .short("Until"), .actions], rows).html
        return Panel.columns([
            Panel.html("Invite a member", form.html("Invite", fields)),
            rows.isEmpty ? "" : Panel.html("Open invitations", open),
        ])
    }

    @Sendable private func setRole(_ page: PageRequest) async throws -> Response {
        let changed = try await service.setRole(
            of: try page.form.require("user"), to: try page.form.require("role"), in: page.caller.organisationId,
            by: page.caller)
        return page.back(to: "/organisation/members", "\(changed.user.username) is now \(changed.role.name).")
    }

    @Sendable private func remove(_ page: PageRequest) async throws -> Response {
        try await service.remove(try page.form.require("user"), from: page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation/members", "Removed.")
    }

    @Sendable private func transfer(_ page: PageRequest) async throws -> Response {
        let owner = try await service.transfer(
            page.caller.organisationId, to: try page.form.require("user"), by: page.caller)
        return page.back(to: "/organisation/members", "\(owner.user.username) is now the owner, and you are an admin.")
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
            let body = Panel.html(
                nil,
                """
                <p>You are invited to <strong>\(name)</strong> by \(found.0.invitedBy).</p>
                \(Action("/invitation/\(FormText.encoded(secret))", "Join \(found.1.name)", visit.formToken, isMain: true).html)
                """)
            let whole = Navigation(visit: visit, member: nil, path: request.uri.path)
                .wrapped(title: "Invitation", body)
            return Page(title: "Invitation", body: whole, hasForm: true).response
        }
        let path = FormText.encoded("/invitation/\(secret)")
        return visitor.page(
            "Invitation",
            """
            <p>You are invited to <strong>\(name)</strong> by \(found.0.invitedBy).</p>
            <p><a class="button main" href="/sign-in?next=\(path)">Sign in and join</a></p>
            <p><a class="button" href="/register?invitation=\(FormText.encoded(secret))">Create an account and join</a></p>
            """)
    }

    @Sendable private func accept(_ page: PageRequest) async throws -> Response {
        let member = try await service.accept(try page.context.parameters.require("secret"), by: page.caller)
        _ = try await service.switchTo(member.organisation.id, by: page.caller)
        return page.back(to: "/organisation", "Welcome to \(member.organisation.name).")
    }
}
