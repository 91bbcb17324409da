import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Relay
import Storage
import Telemetry
import Tunnels

/// `/administration`: the state of the server, and what needs the owner's attention.
struct AdministrationPages: Sendable {
    let services: WebServices

    func add(to routes: Routes) {
        routes.page(.get, "/administration", for: .administrator, use: overview)
        routes.page(.get, "/administration/audit", for: .administrator, use: audit)
    }

    @Sendable private func overview(_ page: PageRequest) async throws -> Response {
        let report = await services.board.report()
        let counts = try await services.database.read { try ApplianceOverview(in: $0) }
        let metrics = services.parts.metrics
        let tunnels = await services.tunnels.server.statuses()
        let figures = Panel.figures([
            .init(value: "\(counts.people)", name: "Users", path: "/administration/people"),
            .init(value: "\(counts.organisations)", name: "Organisations", path: "/administration/organisations"),
            .init(value: "\(metrics.relay.rooms.value)", name: "Open share sessions"),
            .init(value: "\(tunnels.count)", name: "Tunnels online", path: "/administration/tunnels"),
            .init(value: "\(services.machines.server.machines().count)", name: "Machines online"),
        ])
        let rows = report.components.map { part -> [HTML] in
            ["\(part.name)", Self.badge(part.state), "\(part.text)"]
        }
        let parts = Table("Components of the server", ["Component", .short("State"), "Details"], rows)
        let uptime = DurationText.text(metrics.uptimeSeconds)
        return page.page(
            "Administration",
            figures + Panel.html(report.worst == .ok ? "Everything works" : "Something needs attention", parts.html)
                + Panel.html(
                    "Server",
                    Panel.facts([
                        ("Version", "\(services.parts.version)"), ("Uptime", "\(uptime)"),
                        ("State directory", "<code>\(services.parts.stateDirectory)</code>"),
                        ("Registration", "\(services.configuration.accounts.registration.rawValue)"),
                        ("Mail", services.parts.mail == nil ? "not set up" : Badge.html("set up", .ok)),
                        (
                            "Public pages",
                            "<a href=\"/administration/about\">About page</a>, <a href=\"/status\">status</a>"
                        ),
                    ])), live: [.server])
    }

    static func badge(_ state: Component.State) -> HTML {
        switch state {
        case .ok: Badge.html("works", .ok)
        case .warning: Badge.html("needs attention", .warning)
        case .alarm: Badge.html("needs attention now", .warning)
        case .failed: Badge.html("broken", .bad)
        }
    }

    @Sendable private func audit(_ page: PageRequest) async throws -> Response {
        let filter = try Audit.Filter(page.request)
        let events = try await services.database.read { try Audit.list(filter, in: $0.tenant(Audit.appliance)) }
        return page.page(
            "Server audit log", AuditTable(events: events, filter: filter, path: page.request.uri.path).html)
    }
}
