import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The API for administrators of the server about its organisations.
struct AdministrationRoutes: Sendable {
    let database: Database
    let service: OrganisationOperations

    /// The number of organisations on one page.
    private static let pageSize = 200

    func add(to routes: Routes) {
        routes.on(
            .get, "/admin/organisations", for: .administrator,
            about: RouteText(
                "All organisations on the server, 200 at a time",
                query: [
                    .init("after", .string, "Last name on the previous page."), .init("afterId", .string, "Its id."),
                ], .ok([OrganisationResource].self, "By name.")), use: listAll)
        routes.on(
            .get, "/admin/organisations/:id", for: .administrator,
            about: RouteText(
                "An organisation's limits and usage", .ok(OverviewResource.self, "The organisation.")),
            use: overview)
        routes.on(
            .get, "/admin/audit", for: .administrator,
            about: RouteText(
                "The server's own audit log",
                query: [
                    .init("actor", .string, "Only actions by this account."),
                    .init("action", .string, "Only this action or group of actions, such as member."),
                    .init("target", .string, "Only actions on this target: an id or a name."),
                    .init("result", .string, "Only this result: done, failed or refused."),
                    .init("before", .integer(1...Int.max), "Only events older than this number."),
                ], .ok([AuditResource].self, "Newest first.")), use: applianceAudit)
    }

    @Sendable private func listAll(
        _ request: Request, _ context: WebContext, _ caller: Caller
    ) async throws -> Response {
        let parameters = request.uri.queryParameters
        let after = (parameters["after"].map(String.init) ?? "", parameters["afterId"].map(String.init) ?? "")
        let listed = try await database.read { transaction in
            let all = try Organisation.list(after: after, limit: Self.pageSize, in: transaction)
            let counts = try Member.counts(of: all.map(\.id), in: transaction)
            return all.map { one in
                var resource = OrganisationResource(one, role: nil)
                resource.memberCount = counts[one.id]
                return resource
            }
        }
        return .json(listed)
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
