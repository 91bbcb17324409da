import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/organisations/…` and what belongs to one: members, invitations, roles, plan, usage, audit log, export.
struct OrganisationRoutes: Sendable {
    let database: Database
    let service: OrganisationOperations
    let accounts: AccountOperations

    /// A page of the appliance's organisations.
    private static let pageSize = 200
    /// Hours of usage in one answer: a month.
    private static let longestUsage: Int64 = 31 * 24

    func add(to routes: Routes) {
        routes.on(
            .get, "/organisations", for: .credential,
            about: RouteText("One's organisations", .ok([OrganisationResource].self, "The personal one first.")),
            use: list)
        routes.on(
            .post, "/organisations", for: .account,
            about: RouteText(
                "Makes an organisation; the caller owns it", takes: NewOrganisation.self,
                .created(OrganisationResource.self, "Made.")), use: create)
        routes.on(
            .get, "/organisations/:organisation", for: .memberEvenIfDeleted(.tenantRead),
            about: RouteText("An organisation", .ok(OrganisationResource.self, "It.")), use: show)
        routes.on(
            .patch, "/organisations/:organisation", for: .member(.tenantUpdate),
            about: RouteText(
                "Changes an organisation's name or rules", takes: OrganisationChange.self,
                .ok(OrganisationResource.self, "As it is now.")), use: change)
        routes.on(
            .delete, "/organisations/:organisation", for: .memberEvenIfDeleted(.tenantDelete),
            about: RouteText(
                "Deletes an organisation; it can be brought back for 30 days",
                .accepted(OrganisationRoutes.Deleted.self, "When it is gone for good.")), use: delete)
        routes.on(
            .post, "/organisations/:organisation/restore", for: .memberEvenIfDeleted(.tenantDelete),
            about: RouteText("Brings a deleted organisation back", .done()), use: restore)
        routes.on(
            .post, "/organisations/:organisation/switch", for: .member(.tenantRead),
            about: RouteText(
                "Makes this the organisation of the sign-in", .ok(AccessTokenResource.self, "An access token for it.")),
            use: switchTo)
        routes.on(
            .post, "/organisations/:organisation/leave", for: .account,
            about: RouteText("Leaves an organisation; the last owner cannot", .done()), use: leave)
        routes.on(
            .post, "/organisations/:organisation/transfer", for: .member(.tenantTransfer),
            about: RouteText(
                "Makes another member the owner, and the caller an admin", takes: Transfer.self,
                .ok(MemberResource.self, "The new owner.")), use: transfer)
        routes.on(
            .get, "/organisations/:organisation/members", for: .member(.tenantRead),
            about: RouteText(
                "Members by name, 500 at a time", query: [.init("after", .string, "The last name of the page before.")],
                .ok([MemberResource].self, "A page of them.")), use: members)
        routes.on(
            .patch, "/organisations/:organisation/members/:user", for: .member(.tenantManageMembers),
            about: RouteText(
                "Gives a member another role", takes: RoleChange.self, .ok(MemberResource.self, "The member.")),
            use: setRole)
        routes.on(
            .delete, "/organisations/:organisation/members/:user", for: .member(.tenantManageMembers),
            about: RouteText("Takes a member out", .done()), use: remove)
        routes.on(
            .get, "/organisations/:organisation/invitations", for: .member(.tenantManageMembers),
            about: RouteText("Open invitations", .ok([InvitationResource].self, "Newest first.")), use: invitations)
        routes.on(
            .post, "/organisations/:organisation/invitations", for: .member(.tenantManageMembers),
            about: RouteText(
                "Invites somebody, by a link or by e-mail", takes: NewInvitation.self,
                .created(InvitationResource.self, "The invitation with its secret, this once.")), use: invite)
        routes.on(
            .delete, "/organisations/:organisation/invitations/:id", for: .member(.tenantManageMembers),
            about: RouteText("Revokes an invitation", .done()),
            use: revokeInvitation)
        routes.on(
            .post, "/invitations/:secret/accept", for: .account, limit: .publicCalls,
            about: RouteText("Accepts an invitation", .ok(OrganisationResource.self, "The organisation.")), use: accept)
        routes.on(
            .get, "/organisations/:organisation/roles", for: .member(.tenantRead),
            about: RouteText("Roles, built-in ones first", .ok([RoleResource].self, "All of them.")), use: roles)
        routes.on(
            .post, "/organisations/:organisation/roles", for: .member(.tenantManageRoles),
            about: RouteText("Makes a role", takes: NewRole.self, .created(RoleResource.self, "Made.")), use: createRole
        )
        routes.on(
            .patch, "/organisations/:organisation/roles/:id", for: .member(.tenantManageRoles),
            about: RouteText(
                "Changes a role's permissions", takes: PermissionsChange.self, .ok(RoleResource.self, "The role.")),
            use: changeRole)
        routes.on(
            .delete, "/organisations/:organisation/roles/:id", for: .member(.tenantManageRoles),
            about: RouteText("Removes a role that nobody has", .done()), use: removeRole)
        routes.on(
            .get, "/organisations/:organisation/plan", for: .member(.tenantRead),
            about: RouteText(
                "The plan, what it allows, and what is used of it now; -1 is no limit",
                .ok(PlanResource.self, "The plan.")), use: plan)
        routes.on(
            .put, "/organisations/:organisation/plan", for: .administrator,
            about: RouteText(
                "Sets an organisation's plan; for administrators of the server", takes: PlanChange.self,
                .ok(OrganisationResource.self, "The organisation.")), use: setPlan)
        routes.on(
            .get, "/organisations/:organisation/usage", for: .member(.usageRead),
            about: RouteText(
                "What was used, by hour",
                query: [.init("hours", .integer, "How many, the running one included; 24 if absent, at most 744.")],
                .ok([UsageResource].self, "Oldest first.")), use: usage)
        routes.on(
            .get, "/organisations/:organisation/audit", for: .member(.auditRead),
            about: RouteText(
                "The audit log, 100 events at a time",
                query: [
                    .init("actor", .string, "Only what this account did."),
                    .init("action", .string, "Only this action, or group of actions: member."),
                    .init("result", .string, "Only done, failed or refused."),
                    .init("before", .integer, "Only events older than this number."),
                ], .ok([AuditResource].self, "Newest first.")), use: audit)
        routes.on(
            .get, "/organisations/:organisation/export", for: .memberEvenIfDeleted(.tenantExport),
            about: RouteText(
                "All of the organisation's data, one JSON object a line", .text("application/x-ndjson", "An archive.")),
            use: export)
        routes.on(
            .get, "/admin/organisations", for: .administrator,
            about: RouteText(
                "All organisations of the server, 200 at a time",
                query: [
                    .init("after", .string, "The last name of the page before."), .init("afterId", .string, "Its id."),
                ], .ok([OrganisationResource].self, "By name.")), use: listAll)
        routes.on(
            .get, "/admin/organisations/:id", for: .administrator,
            about: RouteText(
                "What an organisation may use, and what it uses", .ok(OverviewResource.self, "The organisation.")),
            use: overview)
        routes.on(
            .get, "/admin/audit", for: .administrator,
            about: RouteText(
                "The server's own audit log",
                query: [
                    .init("actor", .string, "Only what this account did."),
                    .init("action", .string, "Only this action, or group of actions: member."),
                    .init("result", .string, "Only done, failed or refused."),
                    .init("before", .integer, "Only events older than this number."),
                ], .ok([AuditResource].self, "Newest first.")), use: applianceAudit)
    }

    private func id(_ context: WebContext) throws -> String { try context.parameters.require("organisation") }

    @Sendable private func list(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let all = try await database.read { try Member.organisations(of: caller.user.id, in: $0) }
        // A token knows its own organisation only.
        let isToken = if case .apiToken = caller.credential { true } else { false }
        return .json(
            all.filter { !isToken || $0.organisation.id == caller.organisationId }.map(OrganisationResource.init))
    }

    @Sendable private func create(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(NewOrganisation.self)
        return .json(OrganisationResource(try await service.create(name: asked.name, by: caller)), status: .created)
    }

    @Sendable private func show(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let member = try await service.read(id(context), .tenantRead, by: caller, whileDeleted: true) { member, _ in
            member
        }
        return .json(OrganisationResource(member))
    }

    @Sendable private func change(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(OrganisationChange.self)
        let member = try await service.change(
            id(context), name: asked.name, requiresSecondFactor: asked.requiresSecondFactor, by: caller)
        return .json(OrganisationResource(member))
    }

    struct Deleted: Encodable { let deleteAfter: String }

    @Sendable private func delete(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        .json(Deleted(deleteAfter: try await service.delete(id(context), by: caller).iso), status: .accepted)
    }

    @Sendable private func restore(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try await service.restore(id(context), by: caller)
        return .done
    }

    @Sendable private func switchTo(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let access = try await accounts.accessToken(
            for: try await service.switchTo(id(context), by: caller), notAfter: caller.claims?.endsAt)
        return .json(AccessTokenResource(accessToken: access.text, expiresIn: access.seconds))
    }

    @Sendable private func leave(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        try await service.leave(id(context), by: caller)
        return .done
    }

    @Sendable private func transfer(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(Transfer.self)
        return .json(MemberResource(try await service.transfer(id(context), to: asked.userId, by: caller)))
    }

    // MARK: Members

    @Sendable private func members(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let after = request.uri.queryParameters["after"].map(String.init) ?? ""
        let found = try await service.read(id(context), .tenantRead, by: caller) {
            try Member.list(after: after, in: $1)
        }
        return .json(found.map(MemberResource.init))
    }

    @Sendable private func setRole(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(RoleChange.self)
        let user = try context.parameters.require("user")
        return .json(MemberResource(try await service.setRole(of: user, to: asked.role, in: id(context), by: caller)))
    }

    @Sendable private func remove(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try await service.remove(try context.parameters.require("user"), from: id(context), by: caller)
        return .done
    }

    @Sendable private func invitations(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        .json(
            try await service.read(id(context), .tenantManageMembers, by: caller) { _, scope in
                let names = Dictionary(uniqueKeysWithValues: try Role.list(in: scope).map { ($0.id, $0.name) })
                return try Invitation.list(now: .now(), in: scope).map {
                    InvitationResource($0, roleName: names[$0.roleId] ?? $0.roleId)
                }
            })
    }

    @Sendable private func invite(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(NewInvitation.self)
        let (made, role, secret) = try await service.invite(
            email: asked.email, role: asked.role, to: id(context), by: caller)
        return .json(InvitationResource(made, roleName: role.name, secret: secret), status: .created)
    }

    @Sendable private func revokeInvitation(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try await service.revokeInvitation(try context.parameters.require("id"), in: id(context), by: caller)
        return .done
    }

    @Sendable private func accept(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        return .json(OrganisationResource(try await service.accept(context.parameters.require("secret"), by: caller)))
    }

    // MARK: Roles

    @Sendable private func roles(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        .json(
            try await service.read(id(context), .tenantRead, by: caller) { try Role.list(in: $1) }.map(
                RoleResource.init))
    }

    @Sendable private func createRole(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(NewRole.self)
        let permissions = try Set.parse(asked.permissions, field: "permissions")
        let role = try await service.createRole(
            name: asked.name, permissions: permissions, in: id(context), by: caller)
        return .json(RoleResource(role), status: .created)
    }

    @Sendable private func changeRole(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(PermissionsChange.self)
        let permissions = try Set.parse(asked.permissions, field: "permissions")
        let role = try await service.changeRole(
            try context.parameters.require("id"), permissions: permissions, in: id(context), by: caller)
        return .json(RoleResource(role))
    }

    @Sendable private func removeRole(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        try await service.removeRole(try context.parameters.require("id"), in: id(context), by: caller)
        return .done
    }

    // MARK: Plan, usage, audit

    @Sendable private func plan(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        .json(PlanResource(try await service.plan(of: id(context), by: caller)))
    }

    @Sendable private func setPlan(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let asked = try await request.value(PlanChange.self)
        let changed = try await service.setPlan(asked.plan, of: id(context), by: caller)
        return .json(OrganisationResource(changed, role: nil))
    }

    @Sendable private func usage(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let now = UsageLedger.hour(of: .now())
        let hours = min(try request.number("hours") ?? 24, Self.longestUsage)
        guard hours > 0 else { throw APIError.badRequest("hours is not between 1 and \(Self.longestUsage)") }
        let sums = try await service.read(id(context), .usageRead, by: caller) {
            try UsageLedger.sums(from: now - hours + 1, to: now, in: $1)
        }
        return .json(sums.map(UsageResource.init))
    }

    @Sendable private func audit(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let filter = try Audit.Filter(request)
        return .json(
            try await service.read(id(context), .auditRead, by: caller) { try Audit.list(filter, in: $1) }
                .map(AuditResource.init))
    }

    @Sendable private func export(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        try await OrganisationExport(organisations: service).response(of: id(context), for: caller)
    }

    // MARK: The appliance

    @Sendable private func listAll(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let parameters = request.uri.queryParameters
        let after = (parameters["after"].map(String.init) ?? "", parameters["afterId"].map(String.init) ?? "")
        let all = try await database.read { try Organisation.list(after: after, limit: Self.pageSize, in: $0) }
        return .json(all.map { OrganisationResource($0, role: nil) })
    }

    @Sendable private func overview(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        .json(OverviewResource(try await service.overview(of: try context.parameters.require("id"), by: caller)))
    }

    @Sendable private func applianceAudit(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let filter = try Audit.Filter(request)
        return .json(
            try await database.read { try Audit.list(filter, in: $0.tenant(Audit.appliance)) }.map(AuditResource.init))
    }
}

extension Audit.Filter {
    /// `?actor=ana&action=member&result=failed&before=120`
    /// - Throws: ``APIError`` naming the parameter.
    init(_ request: Request) throws {
        func text(_ name: Substring) -> String? {
            request.uri.queryParameters[name].map(String.init).flatMap { $0.isEmpty ? nil : $0 }
        }
        self.init(
            actor: text("actor"), action: text("action"), result: text("result"),
            before: try request.number("before").map { Int(clamping: $0) })
    }
}

extension Request {
    /// A number in the query; nil where it is missing or empty.
    /// - Throws: ``APIError`` naming the parameter.
    func number(_ name: String) throws -> Int64? {
        guard let text = uri.queryParameters[Substring(name)], !text.isEmpty else { return nil }
        guard let number = Int64(text) else { throw APIError.badRequest("\(name) is not a number") }
        return number
    }

    /// `yes` or `no` in the query; nil where it is missing.
    /// - Throws: ``APIError`` naming the parameter.
    func yesOrNo(_ name: String) throws -> Bool? {
        switch uri.queryParameters[Substring(name)] {
        case nil, "": nil
        case "yes": true
        case "no": false
        default: throw APIError.badRequest("\(name) is yes or no")
        }
    }
}
