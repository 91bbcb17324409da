import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Telemetry
import Tunnels
import Wire

/// The pages of an organisation's tunnels, and of all tunnels for administrators.
struct TunnelPages: Sendable {
    let tunnels: TunnelOperations
    let resources: TunnelResources

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/tunnels", for: .member(.tenantRead), use: list)
        routes.page(.post, "/organisation/tunnels/change", for: .account, in: list, use: change)
        routes.page(.get, "/administration/tunnels", for: .administrator, use: listEverywhere)
        routes.page(
            .post, "/administration/tunnels/change", for: .administrator, in: listEverywhere, use: changeAnywhere)
    }

    // MARK: The organisation's

    @Sendable private func list(_ page: PageRequest) async throws -> Response {
        let open = try await tunnels.overview(by: page.caller)
        guard !open.tunnels.isEmpty else { return page.page("Tunnels", Self.empty(resources), live: [.tunnels]) }
        let rows = open.tunnels.map { one in
            row(one) + [one.mayManage ? actions(one, "/organisation/tunnels/change", page) : ""]
        }
        return page.page(
            "Tunnels", Panel.html(nil, Table("Tunnels", Self.columns + [.actions], rows).html),
            lead: "\(open.isEverybodys ? "All" : "Your") tunnels and their current state.", live: [.tunnels])
    }

    private static let columns: [Table.Column] = [
        "Address", .short("State"), "Owner", .number("Connections"), .number("Requests"), .number("Traffic"),
        .short("Last seen"),
    ]

    private static func empty(_ resources: TunnelResources) -> HTML {
        let configuration = resources.server.configuration
        guard configuration.domain != nil || configuration.ports != nil else {
            return Panel.empty(
                "Tunnels are not set up on this server",
                """
                <p>The administrator sets <code>tunnel-domain</code> for addresses and <code>tunnel-ports</code> for ports;
                see <a href="/docs/tunnels">the documentation</a>.</p>
                """)
        }
        return Panel.empty(
            "No tunnels yet",
            """
            <p>On the machine that runs the web server, with its port instead of 3000:</p>
            \(Copyable.html("postern http 3000"))
            <p>For other services, such as SSH:</p>\(Copyable.html("postern tcp 22"))
            """)
    }

    private func row(_ one: TunnelOperations.Listed) -> [HTML] {
        let resource = resources.resource(one)
        let address: HTML =
            one.tunnel.kind == .http && resource.state == "online"
            ? "<a href=\"\(resource.url)\" rel=\"noopener noreferrer\" target=\"_blank\">\(resource.url)</a>"
            : "\(resource.url)"
        return [
            address, Self.badge(resource.state), "\(resource.owner)", "\(resource.connections)", "\(resource.requests)",
            "\(ByteText.text(resource.bytes))",
            one.status == nil ? TimeText.html(one.tunnel.seenAt, missing: "never") : "now",
        ]
    }

    private static func badge(_ state: String) -> HTML {
        Badge.html(state, state == "online" ? .ok : state == "paused" ? .warning : .plain)
    }

    private func actions(_ one: TunnelOperations.Listed, _ path: String, _ page: PageRequest) -> HTML {
        let isPaused = one.tunnel.isPaused
        func action(_ verb: String, _ label: String) -> Action {
            Action(path, label, page.token, ["id": one.tunnel.id, "verb": verb])
        }
        var actions = isPaused ? action("resume", "Resume").html : action("pause", "Pause").html
        if one.status != nil {
            actions =
                actions + action("stop", "Stop").asks("Visitors are disconnected, and the command serving it exits.")
        }
        if path.hasPrefix("/organisation") {
            actions =
                "<a class=\"button\" href=\"/organisation/tunnels/\(one.tunnel.id)/access\">Access</a>" + actions
                + action("remove", "Remove").asks(
                    "The address stops working. Its name or port stays reserved for 90 days.")
        }
        return actions
    }

    @Sendable private func change(_ page: PageRequest) async throws -> Response {
        let id = try page.form.require("id")
        let notice: String
        switch try page.form.require("verb") {
        case "stop":
            notice =
                try await tunnels.stop(id, by: page.caller) ? "The command was told to exit." : "It is not served."
        case "pause":
            try await tunnels.setPaused(id, true, by: page.caller)
            notice = "The tunnel is paused."
        case "resume":
            try await tunnels.setPaused(id, false, by: page.caller)
            notice = "The tunnel is resumed."
        case "remove":
            try await tunnels.remove(id, by: page.caller)
            notice = "The tunnel is removed. Its name or port stays reserved for 90 days."
        default: throw APIError.badRequest("verb must be stop, pause, resume or remove")
        }
        return page.back(to: "/organisation/tunnels", notice)
    }

    // MARK: Everybody's

    @Sendable private func listEverywhere(_ page: PageRequest) async throws -> Response {
        let all = try await tunnels.listEverywhere(by: page.caller)
        let rows = all.map { one, organisation in
            row(one) + ["\(organisation)", actions(one, "/administration/tunnels/change", page)]
        }
        let table = Table(
            "Tunnels of all organisations", Self.columns + ["Organisation", .actions], rows,
            empty: "<p class=\"muted\">There are no tunnels yet.</p>")
        return page.page(
            "All tunnels", Panel.html(nil, table.html),
            lead: "All tunnels on this server. One paused here refuses visitors; only an administrator can resume it.",
            live: [.server])
    }

    @Sendable private func changeAnywhere(_ page: PageRequest) async throws -> Response {
        let id = try page.form.require("id")
        let notice: String
        switch try page.form.require("verb") {
        case "stop":
            notice =
                try await tunnels.kill(id: id, by: page.caller)
                ? "The command was told to exit." : "It is not served."
        case "pause":
            try await tunnels.setBlocked(id: id, true, by: page.caller)
            notice = "The tunnel is paused."
        case "resume":
            try await tunnels.setBlocked(id: id, false, by: page.caller)
            notice = "The tunnel is resumed."
        default: throw APIError.badRequest("verb must be stop, pause or resume")
        }
        return page.back(to: "/administration/tunnels", notice)
    }
}
