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
        routes.on(.get, "/organisations", for: .credential, use: list)
        routes.on(.post, "/organisations", for: .account, use: create)
        routes.on(.get, "/organisations/:organisation", for: .memberOfDeleted(.tenantRead), use: show)
        routes.on(.patch, "/organisations/:organisation", for: .member(.tenantUpdate), use: change)
        routes.on(.delete, "/organisations/:organisation", for: .memberOfDeleted(.tenantDelete), use: delete)
        routes.on(.post, "/organisations/:organisation/restore", for: .memberOfDeleted(.tenantDelete), use: restore)
        routes.on(.post, "/organisations/:organisation/switch", for: .member(.tenantRead), use: switchTo)
        routes.on(.post, "/organisations/:organisation/leave", for: .account, use: leave)
        routes.on(.post, "/organisations/:organisation/transfer", for: .member(.tenantTransfer), use: transfer)
        routes.on(.get, "/organisations/:organisation/members", for: .member(.tenantRead), use: members)
        routes.on(
            .patch, "/organisations/:organisation/members/:user", for: .member(.tenantManageMembers), use: setRole)
        routes.on(
            .delete, "/organisations/:organisation/members/:user", for: .member(.tenantManageMembers), use: remove)
        routes.on(
            .get, "/organisations/:organisation/invitations", for: .member(.tenantManageMembers), use: invitations)
        routes.on(.post, "/organisations/:organisation/invitations", for: .member(.tenantManageMembers), use: invite)
        routes.on(
            .delete, "/organisations/:organisation/invitations/:id", for: .member(.tenantManageMembers),
            use: revokeInvitation)
        routes.on(.post, "/invitations/:secret/accept", for: .account, limit: .publicCalls, use: accept)
        routes.on(.get, "/organisations/:organisation/roles", for: .member(.tenantRead), use: roles)
        routes.on(.post, "/organisations/:organisation/roles", for: .member(.tenantManageRoles), use: createRole)
        routes.on(.patch, "/organisations/:organisation/roles/:id", for: .member(.tenantManageRoles), use: changeRole)
        routes.on(.delete, "/organisations/:organisation/roles/:id", for: .member(.tenantManageRoles), use: removeRole)
        routes.on(.get, "/organisations/:organisation/plan", for: .member(.tenantRead), use: plan)
        routes.on(.put, "/organisations/:organisation/plan", for: .administrator, use: setPlan)
        routes.on(.get, "/organisations/:organisation/usage", for: .member(.usageRead), use: usage)
        routes.on(.get, "/organisations/:organisation/audit", for: .member(.auditRead), use: audit)
        routes.on(.get, "/organisations/:organisation/export", for: .memberOfDeleted(.tenantExport), use: export)
        routes.on(.get, "/admin/organisations", for: .administrator, use: listAll)
        routes.on(.get, "/admin/organisations/:id", for: .administrator, use: overview)
        routes.on(.get, "/admin/audit", for: .administrator, use: applianceAudit)
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

    private struct Deleted: Encodable { let deleteAfter: String }

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
