import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// Plan, usage, audit log and export of an organisation.
struct PlanRoutes: Sendable {
    let service: OrganisationOperations

    /// The maximum number of hours in one usage response: a month.
    private static let longestUsage: Int64 = 31 * 24

    func add(to routes: Routes) {
        routes.on(
            .get, "/organisations/:organisation/plan", for: .member(.tenantRead),
            about: RouteText(
                "The plan, its limits and the current usage; -1 means no limit",
                .ok(PlanResource.self, "The plan.")), use: plan)
        routes.on(
            .put, "/organisations/:organisation/plan", for: .administrator,
            about: RouteText(
                "Sets an organisation's plan; for administrators of the server", takes: PlanChange.self,
                .ok(OrganisationResource.self, "The organisation.")), use: setPlan)
        routes.on(
            .get, "/organisations/:organisation/usage", for: .member(.usageRead),
            about: RouteText(
                "Usage by hour",
                query: [
                    .init(
                        "hours", .integer(1...Int(PlanRoutes.longestUsage)),
                        "How many, including the current one; 24 if absent, at most 744.")
                ],
                .ok([UsageResource].self, "Oldest first.")), use: usage)
        routes.on(
            .get, "/organisations/:organisation/audit", for: .member(.auditRead),
            about: RouteText(
                "The audit log, 100 events at a time",
                query: [
                    .init("actor", .string, "Only actions by this account."),
                    .init("action", .string, "Only this action or group of actions, such as member."),
                    .init("target", .string, "Only actions on this target: an id or a name."),
                    .init("result", .string, "Only this result: done, failed or refused."),
                    .init("before", .integer(1...Int.max), "Only events older than this number."),
                ], .ok([AuditResource].self, "Newest first.")), use: audit)
        routes.on(
            .get, "/organisations/:organisation/export", for: .memberEvenIfDeleted(.tenantExport),
            about: RouteText(
                "The organisation's data, one JSON object per line", .text("application/x-ndjson", "An archive.")),
            use: export)
    }

    private func id(_ context: WebContext) throws -> String { try context.parameters.require("organisation") }

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
        let hours = try request.number("hours", in: 1...Self.longestUsage) ?? 24
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
}

extension Audit.Filter {
    /// `?actor=ana&action=member&result=failed&before=120`
    /// - Throws: ``APIError`` naming the parameter.
    init(_ request: Request) throws {
        let form = request.sentForm
        self.init(
            actor: form["actor"], action: form["action"], target: form["target"], result: form["result"],
            before: try request.number("before", in: 1...Int64.max).map { Int(clamping: $0) })
    }
}
