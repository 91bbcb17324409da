import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Telemetry
import Tunnels
import Wire

/// The pages of an organisation's machines.
struct MachinePages: Sendable {
    let machines: MachineOperations
    let tunnels: TunnelResources
    let resources: MachineResources

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/machines", for: .member(.tenantRead), use: list)
        routes.page(.post, "/organisation/machines/invite", for: .member(.machineEnroll), in: list, use: invite)
        routes.page(.get, "/organisation/machines/:id", for: .member(.tenantRead), use: show)
        routes.page(.get, "/organisation/machines/:id/change", for: .member(.tenantRead), use: changing)
        routes.page(.post, "/organisation/machines/:id/rename", for: .account, in: changing, use: rename)
        routes.page(.post, "/organisation/machines/:id/revoke", for: .account, in: changing, use: revoke)
    }

    // MARK: Looking

    @Sendable private func list(_ page: PageRequest) async throws -> Response {
        let found = try await machines.overview(by: page.caller)
        let adding =
            found.mayEnroll
            ? Action("/organisation/machines/invite", "Add a machine", page.token, isMain: true).html : ""
        guard !found.machines.isEmpty else {
            return page.page(
                "Machines",
                Panel.empty(
                    "No machines yet",
                    """
                    <p>An enrolled machine keeps its tunnels across restarts, and its state is shown here.
                    You get a command to run on it, valid for 30 minutes.</p>\(adding)
                    """), live: [.machines])
        }
        let rows = found.machines.map { one -> [HTML] in
            let report = one.status?.report
            return [
                "<a href=\"/organisation/machines/\(one.machine.id)\">\(one.machine.name)</a>",
                Self.state(isOnline: one.status != nil, one.problem),
                "\(one.owner ?? "")", report.map { "\(Self.load($0))" } ?? "",
                report.map { Self.used($0.memoryTotal - $0.memoryAvailable, of: $0.memoryTotal) } ?? "",
                report.map { Self.used($0.diskTotal - $0.diskFree, of: $0.diskTotal) } ?? "",
                one.status == nil ? TimeText.html(one.machine.seenAt, missing: "never") : "now",
            ]
        }
        let table = Table(
            "Machines", ["Name", .short("State"), "Owner", .short("Load"), "Memory", "Disk", .short("Last seen")], rows)
        return page.page(
            "Machines", Panel.html(nil, table.html) + adding,
            lead: "\(found.isEverybodys ? "All" : "Your") machines and their current state.", live: [.machines])
    }

    private static func used(_ part: Int, of whole: Int) -> HTML { Meter.html(part, of: whole, text: ByteText.text) }

    private static func load(_ report: MachineReport) -> String {
        let first = report.load.first ?? 0
        return "\((first * 100).rounded() / 100) of \(report.processors)"
    }

    @Sendable private func show(_ page: PageRequest) async throws -> Response {
        let (found, declared) = try await machines.show(try page.context.parameters.require("id"), by: page.caller)
        let resource = resources.resource(found)
        let problem: HTML = found.problem.map { Panel.notice("<p>\($0)</p>", .bad) } ?? ""
        let rows = declared.map { tunnel -> [HTML] in
            [
                "\(tunnel.label ?? "no longer declared")", "\(tunnels.url(tunnel))",
                machines.server.isServed(tunnel.id) ? Badge.html("online", .ok) : Badge.html("offline"),
            ]
        }
        let served = Table(
            "Tunnels", ["Label", "Address", .short("State")], rows,
            empty: """
                <p>It declares no tunnels. Add them to <code>/etc/postern-agent/agent.yml</code> on the machine;
                <a href="/docs/machines">the documentation</a> has examples.</p>
                """)
        let change: HTML =
            found.mayManage
            ? "<a class=\"button\" href=\"/organisation/machines/\(found.machine.id)/change\">Rename or revoke</a>"
            : ""
        return page.page(
            found.machine.name,
            """
            \(problem)\(Panel.html(nil, Panel.facts(facts(resource, found))))\(Panel.html("Tunnels", served.html))
            <p>\(change) <a class="button" href="/organisation/machines">All machines</a></p>
            """, live: [.machines, .tunnels])
    }

    private func facts(_ one: MachineResource, _ found: MachineOperations.Listed) -> [(String, HTML)] {
        var facts: [(String, HTML)] = [
            ("State", Self.state(isOnline: found.status != nil, found.problem)), ("Owner", "\(one.owner)"),
        ]
        if let since = found.status?.since { facts.append(("Online since", TimeText.html(since))) }
        facts.append(
            ("Last seen", found.status == nil ? TimeText.html(found.machine.seenAt, missing: "never") : "now"))
        if let address = one.address { facts.append(("Address", "\(address)")) }
        if let report = one.report {
            let load = report.load.map { "\(($0 * 100).rounded() / 100)" }.joined(separator: ", ")
            facts.append(("Load", "\(load) (1, 5 and 15 minutes), \(report.processors) processors"))
            facts.append(
                ("Memory used", Self.used(report.memoryTotal - report.memoryAvailable, of: report.memoryTotal)))
            facts.append(("Disk used", Self.used(report.diskTotal - report.diskFree, of: report.diskTotal)))
            facts.append(("Uptime", "\(DurationText.text(report.uptime))"))
        }
        if let time = one.roundTripMilliseconds {
            let rounded = "\((time * 10).rounded() / 10)"
            facts.append(("Round trip", "\(rounded) ms"))
        }
        return facts + [
            ("Software", "\(one.software), \(one.platform)"),
            ("Allows", "\(one.allows.map(\.rawValue).joined(separator: ", "))"),
            ("Key", "<code>\(one.fingerprint)</code>"), ("Enrolled", TimeText.html(found.machine.enrolledAt)),
        ]
    }

    private static func state(isOnline: Bool, _ problem: String?) -> HTML {
        if problem != nil { return Badge.html("blocked", .bad) }
        return isOnline ? Badge.html("online", .ok) : Badge.html("offline")
    }

    // MARK: Changing

    @Sendable private func invite(_ page: PageRequest) async throws -> Response {
        let (code, secret) = try await machines.invite(by: page.caller)
        let fresh =
            resources.fingerprint() == nil
            ? Panel.html(
                "On a machine without Postern",
                """
                <p>This first downloads the program from this server:</p>
                \(Copyable.html("curl -fsSL \(resources.url(page.request))/install.sh | sudo sh -s -- \(secret)"))
                """) : ""
        return page.page(
            "Add a machine",
            Panel.html(
                "On the machine, where Postern is installed",
                """
                <p>The code can be used once, until \(TimeText.html(code.expiresAt)), and is shown only once.</p>
                \(Copyable.html(resources.command(secret, page.request)))
                """) + fresh
                + "<p>The machine appears under <a class=\"button\" href=\"/organisation/machines\">Machines</a></p>")
    }

    @Sendable private func changing(_ page: PageRequest) async throws -> Response {
        let (found, _) = try await machines.show(try page.context.parameters.require("id"), by: page.caller)
        guard found.mayManage else { throw APIError.notFound }
        let path = "/organisation/machines/\(found.machine.id)"
        let form = page.form("\(path)/rename")
        let revoke = Action("\(path)/revoke", "Revoke", page.token)
        return page.page(
            "Change \(found.machine.name)",
            Panel.columns([
                Panel.html("Name", form.html("Rename", form.text("name", "Name", value: found.machine.name))),
                Panel.html(
                    "Revoke",
                    """
                    <p>For a machine that is lost, sold or no longer yours. To allow it again, enrol it again on the machine.</p>
                    \(revoke.asks("Its connection and its tunnels are closed immediately."))
                    """),
            ]) + "<p><a class=\"button\" href=\"\(path)\">Back</a></p>")
    }

    @Sendable private func rename(_ page: PageRequest) async throws -> Response {
        let id = try page.context.parameters.require("id")
        try await machines.rename(id, to: try page.form.require("name"), by: page.caller)
        return page.back(to: "/organisation/machines/\(id)", "The machine is renamed.")
    }

    @Sendable private func revoke(_ page: PageRequest) async throws -> Response {
        try await machines.revoke(try page.context.parameters.require("id"), by: page.caller)
        return page.back(to: "/organisation/machines", "The machine is revoked.")
    }
}
