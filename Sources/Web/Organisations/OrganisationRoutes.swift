import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/organisations` and an organisation itself.
struct OrganisationRoutes: Sendable {
    let database: Database
    let service: OrganisationOperations
    let accounts: AccountOperations

    func add(to routes: Routes) {
        routes.on(
            .get, "/organisations", for: .credential,
            about: RouteText("The caller's organisations", .ok([OrganisationResource].self, "The personal one first.")),
            use: list)
        routes.on(
            .post, "/organisations", for: .account,
            about: RouteText(
                "Creates an organisation owned by the caller", takes: NewOrganisation.self,
                .created(OrganisationResource.self, "The new organisation.")), use: create)
        routes.on(
            .get, "/organisations/:organisation", for: .memberEvenIfDeleted(.tenantRead),
            about: RouteText("An organisation", .ok(OrganisationResource.self, "The organisation.")), use: show)
        routes.on(
            .patch, "/organisations/:organisation", for: .member(.tenantUpdate),
            about: RouteText(
                "Changes an organisation's name or rules", takes: OrganisationChange.self,
                .ok(OrganisationResource.self, "The updated organisation.")), use: change)
        routes.on(
            .delete, "/organisations/:organisation", for: .memberEvenIfDeleted(.tenantDelete),
            about: RouteText(
                "Deletes an organisation; it can be restored within 30 days",
                .accepted(OrganisationRoutes.Deleted.self, "When it is permanently deleted.")), use: delete)
        routes.on(
            .post, "/organisations/:organisation/restore", for: .memberEvenIfDeleted(.tenantDelete),
            about: RouteText("Restores a deleted organisation", .done()), use: restore)
        routes.on(
            .post, "/organisations/:organisation/switch", for: .member(.tenantRead),
            about: RouteText(
                "Switches the sign-in to this organisation", .ok(AccessTokenResource.self, "An access token for it.")),
            use: switchTo)
        routes.on(
            .post, "/organisations/:organisation/leave", for: .account,
            about: RouteText("Leaves an organisation; the last owner cannot", .done()), use: leave)
        routes.on(
            .post, "/organisations/:organisation/transfer", for: .member(.tenantTransfer),
            about: RouteText(
                "Makes another member the owner, and the caller an admin", takes: Transfer.self,
                .ok(MemberResource.self, "The new owner.")), use: transfer)
    }

    private func id(_ context: WebContext) throws -> String { try context.parameters.require("organisation") }

    @Sendable private func list(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        // A token can only see its own organisation.
        let isToken = if case .apiToken = caller.credential { true } else { false }
        let listed = try await database.read { transaction in
            let all = try Member.organisations(of: caller.user.id, in: transaction)
                .filter { !isToken || $0.organisation.id == caller.organisationId }
            let counts = try Member.counts(of: all.map(\.organisation.id), in: transaction)
            return all.map { OrganisationResource($0, memberCount: counts[$0.organisation.id]) }
        }
        return .json(listed)
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
        let member = try await service.change(id(context), asked.change, by: caller)
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
}
