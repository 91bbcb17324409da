import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of the server's administrators: every organisation's plan, and the server's own audit log.
struct AdministrationPages: Sendable {
    /// Organisations on one page.
    private static let pageSize = 100

    let database: Database
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/administration", for: .administrator, use: organisations)
        routes.page(.get, "/administration/organisation", for: .administrator, use: organisation)
        routes.page(.post, "/administration/plan", for: .administrator, use: setPlan)
        routes.page(.get, "/administration/audit", for: .administrator, use: audit)
    }

    @Sendable private func organisations(_ page: PageRequest) async throws -> Response {
        let after = (page.query("after") ?? "", page.query("afterId") ?? "")
        let all = try await database.read { try Organisation.list(after: after, limit: Self.pageSize, in: $0) }
        let token = page.visit.formToken
        let rows = all.map { one -> [HTML] in
            let options = Plan.allCases.map {
                "<option\(" selected", if: $0 == one.plan)>\($0.rawValue)</option>" as HTML
            }.joined()
            let form: HTML = """
                <form method="post" action="/administration/plan">\(token.field)\(Field.hidden("id", one.id))
                <select name="plan" aria-label="Plan of \(one.name)">\(options)</select> <button>Set</button></form>
                """
            let kind = one.deleteAfter != nil ? "deleted" : one.personalOf != nil ? "personal" : "shared"
            let name: HTML = "<a href=\"/administration/organisation?id=\(one.id)\">\(one.name)</a>"
            return [name, "\(kind)", "\(one.createdAt.readable)", form]
        }
        let last = all.count == Self.pageSize ? all.last : nil
        let next = last.map { last -> HTML in
            let query: HTML = "after=\(FormText.encoded(last.name))&amp;afterId=\(FormText.encoded(last.id))"
            return "<p><a href=\"/administration?\(query)\">More</a></p>"
        }
        return page.page(
            "Administration",
            Field.table("All organisations", ["Name", "Kind", "Since", "Plan"], rows) + (next ?? "")
                + "<p><a href=\"/administration/audit\">The server's own audit log</a></p>")
    }

    @Sendable private func organisation(_ page: PageRequest) async throws -> Response {
        let found = try await service.overview(of: page.query("id") ?? "", by: page.caller)
        let limits = PlanLimit.allCases.map { limit -> [HTML] in
            let value = found.limits[limit]
            return ["\(limit.title)", value.map { "\($0)" } ?? "no limit"]
        }
        let now: [[HTML]] = [
            ["Members", "\(found.now.members)"], ["Open share sessions", "\(found.now.openSessions)"],
            ["Guests", "\(found.now.guests)"],
        ]
        return page.page(
            found.organisation.name,
            """
            <h2>Now</h2>\(Field.table("Now", ["What", "How many"], now))
            <h2>The plan \(found.organisation.plan.rawValue)</h2>\(Field.table("What the plan allows", ["Limit", "Allowed"], limits))
            <h2>The last 24 hours</h2>\(UsageTable(usage: found.usage.map(UsageResource.init)).html)
            <p><a href="/administration">All organisations</a></p>
            """)
    }

    @Sendable private func setPlan(_ page: PageRequest) async throws -> Response {
        let changed = try await service.setPlan(
            try page.form.require("plan"), of: try page.form.require("id"), by: page.caller)
        return page.back(to: "/administration", "\(changed.name) is on the plan \(changed.plan.rawValue) now.")
    }

    @Sendable private func audit(_ page: PageRequest) async throws -> Response {
        let filter = try Audit.Filter(page.request)
        let events = try await database.read { try Audit.list(filter, in: $0.tenant(Audit.appliance)) }
        return page.page(
            "The server's audit log", AuditTable(events: events, filter: filter, path: page.request.uri.path).html)
    }
}

/// A ledger's sums, newest first, as HTML.
struct UsageTable {
    let usage: [UsageResource]

    var html: HTML {
        Field.table(
            "Usage by hour, newest first", ["Hour", "Unit", "Amount"],
            usage.reversed().map {
                ["\($0.hour)", "\($0.unit.split(separator: "_").joined(separator: " "))", "\($0.amount)"]
            })
    }
}

/// Events and their filter, as HTML.
struct AuditTable {
    let events: [Audit.Event]
    let filter: Audit.Filter
    let path: String

    var html: HTML {
        let rows = events.map { event -> [HTML] in
            [
                "\(event.number)", "\(event.at.readable)", "\(event.actorName)", "\(event.action)",
                "\([event.target, event.detail].filter { !$0.isEmpty }.joined(separator: ": "))", "\(event.result)",
                "\(event.address), \(event.credential)",
            ]
        }
        return """
            <form method="get" action="\(path)">
            \(Field.text("actor", "Who", value: filter.actor ?? "", isRequired: false))
            \(Field.text("action", "What, as in member or token.created", value: filter.action ?? "", isRequired: false))
            \(Field.text("result", "Result: done, failed or refused", value: filter.result ?? "", isRequired: false))
            <p><button>Show</button> <a href="\(path)">all</a></p></form>
            \(Field.table("Events, newest first", ["No.", "When", "Who", "What", "On what", "Result", "From"], rows))\(older)
            """
    }

    private var older: HTML {
        guard events.count == Audit.pageSize, let last = events.last else { return "" }
        let query = [("actor", filter.actor), ("action", filter.action), ("result", filter.result)]
            .compactMap { name, value in value.map { "\(name)=\(FormText.encoded($0))&amp;" as HTML } }.joined()
        return "<p><a href=\"\(path)?\(query)before=\(last.number)\">Older</a></p>"
    }
}
