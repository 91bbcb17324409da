import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// Roles of an organisation.
struct RoleRoutes: Sendable {
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.on(
            .get, "/organisations/:organisation/roles", for: .member(.tenantRead),
            about: RouteText("Roles, built-in ones first", .ok([RoleResource].self, "All roles.")), use: roles)
        routes.on(
            .post, "/organisations/:organisation/roles", for: .member(.tenantManageRoles),
            about: RouteText("Creates a role", takes: NewRole.self, .created(RoleResource.self, "The new role.")),
            use: createRole
        )
        routes.on(
            .patch, "/organisations/:organisation/roles/:id", for: .member(.tenantManageRoles),
            about: RouteText(
                "Changes a role's permissions", takes: PermissionsChange.self, .ok(RoleResource.self, "The role.")),
            use: changeRole)
        routes.on(
            .delete, "/organisations/:organisation/roles/:id", for: .member(.tenantManageRoles),
            about: RouteText("Removes a role that nobody has", .done()), use: removeRole)
    }

    private func id(_ context: WebContext) throws -> String { try context.parameters.require("organisation") }

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
}
