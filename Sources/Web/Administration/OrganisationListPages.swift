import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// All organisations of the server: their properties, limits and usage.
struct OrganisationListPages: Sendable {
    /// The number of organisations on one page.
    private static let pageSize = 100

    let database: Database
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/administration/organisations", for: .administrator, use: organisations)
        routes.page(.get, "/administration/organisation", for: .administrator, use: organisation)
        routes.page(.post, "/administration/plan", for: .administrator, in: organisations, use: setPlan)
    }

    @Sendable private func organisations(_ page: PageRequest) async throws -> Response {
        let after = (page.query("after") ?? "", page.query("afterId") ?? "")
        let (all, counts) = try await database.read { transaction in
            let all = try Organisation.list(after: after, limit: Self.pageSize, in: transaction)
            return (all, try Member.counts(of: all.map(\.id), in: transaction))
        }
        let rows = all.map { one -> [HTML] in
            let form = page.form("/administration/plan")
            let plans = Plan.allCases.map { ($0.rawValue, $0.rawValue) }
            let plan: HTML = """
                <form method="post" action="\(form.action)" class="inline">\(page.token.field)\(form.hidden("id", one.id))\
                \(form.choice("plan", "Plan of \(one.name)", plans, chosen: one.plan.rawValue)) <button>Set</button></form>
                """
            let kind: HTML =
                one.deleteAfter != nil
                ? Badge.html("deleted", .bad) : one.personalOf != nil ? "personal" : "team"
            return [
                "<a href=\"/administration/organisation?id=\(one.id)\">\(one.name)</a>", "<code>\(one.slug)</code>",
                kind,
                "\(counts[one.id] ?? 0)", TimeText.html(one.createdAt), plan,
            ]
        }
        let next: HTML? = all.count == Self.pageSize ? all.last.map(Self.next) : nil
        let table = Table(
            "All organisations",
            ["Name", "Short name", .short("Kind"), .number("Members"), .short("Since"), .actions], rows)
        return page.page("All organisations", Panel.html(nil, table.html + (next ?? "")))
    }

    private static func next(_ last: Organisation) -> HTML {
        let query: HTML = "after=\(FormText.encoded(last.name))&amp;afterId=\(FormText.encoded(last.id))"
        return "<p><a class=\"button\" href=\"/administration/organisations?\(query)\">More</a></p>"
    }

    @Sendable private func organisation(_ page: PageRequest) async throws -> Response {
        let found = try await service.overview(of: page.query("id") ?? "", by: page.caller)
        let limits = PlanLimit.allCases.filter(\.isOffered).map { limit -> [HTML] in
            let value = found.limits[limit]
            return ["\(limit.title)", value.map { "\($0)" } ?? "no limit"]
        }
        let figures = Panel.figures([
            .init(value: "\(found.now.members)", name: "Members"),
            .init(value: "\(found.now.openSessions)", name: "Open share sessions"),
            .init(value: "\(found.now.guests)", name: "Guests"),
        ])
        return page.page(
            found.organisation.name,
            figures
                + Panel.html(
                    "The plan \(found.organisation.plan.rawValue)",
                    Table("What the plan allows", ["Limit", .number("Allowed")], limits).html)
                + UsageCharts(sums: found.usage, now: UsageLedger.hour(of: .now())).html
                + "<p><a class=\"button\" href=\"/administration/organisations\">All organisations</a></p>")
    }

    @Sendable private func setPlan(_ page: PageRequest) async throws -> Response {
        let changed = try await service.setPlan(
            try page.form.require("plan"), of: try page.form.require("id"), by: page.caller)
        return page.back(
            to: "/administration/organisations", "\(changed.name) is now on the plan \(changed.plan.rawValue).")
    }
}
