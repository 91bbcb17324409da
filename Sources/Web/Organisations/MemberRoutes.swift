import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// Members of an organisation, and invitations to it.
struct MemberRoutes: Sendable {
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.on(
            .get, "/organisations/:organisation/members", for: .member(.tenantRead),
            about: RouteText(
                "Members by name, 500 at a time", query: [.init("after", .string, "Last name on the previous page.")],
                .ok([MemberResource].self, "A page of members.")), use: members)
        routes.on(
            .patch, "/organisations/:organisation/members/:user", for: .member(.tenantManageMembers),
            about: RouteText(
                "Changes a member's role", takes: RoleChange.self, .ok(MemberResource.self, "The member.")),
            use: setRole)
        routes.on(
            .delete, "/organisations/:organisation/members/:user", for: .member(.tenantManageMembers),
            about: RouteText("Removes a member", .done()), use: remove)
        routes.on(
            .get, "/organisations/:organisation/invitations", for: .member(.tenantManageMembers),
            about: RouteText("Open invitations", .ok([InvitationResource].self, "Newest first.")), use: invitations)
        routes.on(
            .post, "/organisations/:organisation/invitations", for: .member(.tenantManageMembers),
            about: RouteText(
                "Invites a person by link or by e-mail", takes: NewInvitation.self,
                .created(InvitationResource.self, "The invitation; its secret is shown only once.")), use: invite)
        routes.on(
            .delete, "/organisations/:organisation/invitations/:id", for: .member(.tenantManageMembers),
            about: RouteText("Revokes an invitation", .done()),
            use: revokeInvitation)
        routes.on(
            .post, "/invitations/:secret/accept", for: .account, limit: .publicCalls,
            about: RouteText("Accepts an invitation", .ok(OrganisationResource.self, "The organisation.")), use: accept)
    }

    private func id(_ context: WebContext) throws -> String { try context.parameters.require("organisation") }

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
}
