import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Tunnels
import Wire

/// The pages of an organisation's machines.
struct MachinePages: Sendable {
    let machines: MachineOperations
    let tunnels: TunnelResources
    let resources: MachineResources

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/machines", for: .member(.tenantRead), use: list)
        routes.page(.post, "/organisation/machines/invite", for: .member(.machineEnroll), use: invite)
        routes.page(.get, "/organisation/machines/:id", for: .member(.tenantRead), use: show)
        routes.page(.get, "/organisation/machines/:id/change", for: .member(.tenantRead), use: changing)
        routes.page(.post, "/organisation/machines/:id/rename", for: .account, use: rename)
        routes.page(.post, "/organisation/machines/:id/revoke", for: .account, use: revoke)
    }

    // MARK: Looking

    @Sendable private func list(_ page: PageRequest) async throws -> Response {
        let found = try await machines.overview(by: page.caller)
        let adding: HTML =
            found.mayEnroll
            ? Field.action("/organisation/machines/invite", "Add a machine", page.visit.formToken) : ""
        guard !found.machines.isEmpty else {
            return page.page(
                "Machines",
                """
                <p>No machines yet. A machine that is enrolled keeps its tunnels across restarts, and you see here how it is doing.
                You get a command to run on it, good for 30 minutes.</p>\(adding)
                """)
        }
        let rows = found.machines.map { one -> [HTML] in
            let report = one.status?.report
            return [
                "<a href=\"/organisation/machines/\(one.machine.id)\">\(one.machine.name)</a>",
                Self.state(isOnline: one.status != nil, one.problem),
                "\(one.owner ?? "")", "\(report.map { Self.load($0) } ?? "")",
                "\(report.map { ByteText.share($0.memoryAvailable, of: $0.memoryTotal) } ?? "")",
                "\(report.map { ByteText.share($0.diskFree, of: $0.diskTotal) } ?? "")",
                "\(one.status == nil ? one.machine.seenAt?.readable ?? "never" : "now")",
            ]
        }
        return page.page(
            "Machines",
            """
            <p>\(found.isEverybodys ? "Everybody's" : "Your") machines, as they are now.</p>
            \(Field.table("Machines", ["Name", "State", "Owner", "Load", "Memory free", "Disk free", "Last seen"], rows))\(adding)
            """
        ).refreshing
    }

    private static func load(_ report: MachineReport) -> String {
        let first = report.load.first ?? 0
        return "\((first * 100).rounded() / 100) of \(report.processors)"
    }

    @Sendable private func show(_ page: PageRequest) async throws -> Response {
        let (found, declared) = try await machines.show(try page.context.parameters.require("id"), by: page.caller)
        let resource = resources.resource(found)
        let problem: HTML = found.problem.map { "<p class=\"notice\">\($0)</p>" } ?? ""
        let rows = declared.map { tunnel -> [HTML] in
            [
                "\(tunnel.label ?? "declared no more")", "\(tunnels.url(tunnel))",
                "\(machines.server.isServed(tunnel.id) ? "online" : "offline")",
            ]
        }
        let served: HTML =
            declared.isEmpty
            ? "<p>It declares no tunnels. Write them into <code>/etc/postern-agent/agent.yml</code> on the machine; <code>docs/machines.md</code> has examples.</p>"
            : Field.table("Tunnels", ["Label", "Address", "State"], rows)
        let change: HTML =
            found.mayManage
            ? "<p><a href=\"/organisation/machines/\(found.machine.id)/change\">Rename or revoke it</a></p>" : ""
        return page.page(
            found.machine.name,
            """
            \(problem)<dl>\(facts(resource, found).map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" as HTML }.joined())</dl>
            <h2>Tunnels</h2>\(served)\(change)<p><a href="/organisation/machines">All machines</a></p>
            """
        ).refreshing
    }

    private func facts(_ one: MachineResource, _ found: MachineOperations.Listed) -> [(String, HTML)] {
        var facts: [(String, HTML)] = [
            ("State", Self.state(isOnline: found.status != nil, found.problem)), ("Owner", "\(one.owner)"),
        ]
        if let since = found.status?.since { facts.append(("Online since", "\(since.readable)")) }
        facts.append(("Last seen", "\(found.status == nil ? found.machine.seenAt?.readable ?? "never" : "now")"))
        if let address = one.address { facts.append(("Address", "\(address)")) }
        if let report = one.report {
            let load = report.load.map { "\(($0 * 100).rounded() / 100)" }.joined(separator: ", ")
            facts.append(("Load", "\(load) (1, 5 and 15 minutes), \(report.processors) processors"))
            facts.append(("Memory free", "\(ByteText.share(report.memoryAvailable, of: report.memoryTotal))"))
            facts.append(("Disk free", "\(ByteText.share(report.diskFree, of: report.diskTotal))"))
            facts.append(("Up for", "\(DurationText.text(report.uptime))"))
        }
        if let time = one.roundTripMilliseconds {
            let rounded = "\((time * 10).rounded() / 10)"
            facts.append(("Round trip", "\(rounded) ms"))
        }
        return facts + [
            ("Software", "\(one.software), \(one.platform)"),
            ("Allows", "\(one.allows.map(\.rawValue).joined(separator: ", "))"),
            ("Key", "<code>\(one.fingerprint)</code>"), ("Enrolled", "\(found.machine.enrolledAt.readable)"),
        ]
    }

    private static func state(isOnline: Bool, _ problem: String?) -> HTML {
        if problem != nil { return "<span class=\"failed\">held back</span>" }
        return isOnline ? "<span class=\"ok\">online</span>" : "<span class=\"small\">offline</span>"
    }

    // MARK: Changing

    @Sendable private func invite(_ page: PageRequest) async throws -> Response {
        let (code, secret) = try await machines.invite(by: page.caller)
        let fresh: HTML =
            resources.fingerprint() == nil
            ? """
            <p>On a machine without it, this fetches this server's own program first:</p>
            <pre>curl -fsSL \(resources.url(page.request))/install.sh | sudo sh -s -- \(secret)</pre>
            """ : ""
        return page.page(
            "Add a machine",
            """
            <p>Run this on the machine, where Postern is installed. The code is good once, until \(code.expiresAt.readable), and is
            shown only now.</p>
            <pre>\(resources.command(secret, page.request))</pre>\(fresh)
            <p>Then it stands under <a href="/organisation/machines">Machines</a>.</p>
            """)
    }

    @Sendable private func changing(_ page: PageRequest) async throws -> Response {
        let (found, _) = try await machines.show(try page.context.parameters.require("id"), by: page.caller)
        guard found.mayManage else { throw APIError.notFound }
        let path = "/organisation/machines/\(found.machine.id)"
        return page.page(
            "Change \(found.machine.name)",
            """
            <form method="post" action="\(path)/rename">\(page.visit.formToken.field)
            \(Field.text("name", "Name", value: found.machine.name))<br><button>Rename it</button></form>
            <h2>Revoke it</h2>
            <p>Its link ends at once, and its tunnels with it. To let it in again, enrol it again on the machine.</p>
            \(Field.action("\(path)/revoke", "Revoke it", page.visit.formToken))
            <p><a href="\(path)">Back</a></p>
            """)
    }

    @Sendable private func rename(_ page: PageRequest) async throws -> Response {
        let id = try page.context.parameters.require("id")
        try await machines.rename(id, to: try page.form.require("name"), by: page.caller)
        return page.back(to: "/organisation/machines/\(id)", "The machine has another name now.")
    }

    @Sendable private func revoke(_ page: PageRequest) async throws -> Response {
        try await machines.revoke(try page.context.parameters.require("id"), by: page.caller)
        return page.back(to: "/organisation/machines", "The machine is revoked.")
    }
}

extension ByteText {
    /// `3.2 GiB of 8 GiB`
    static func share(_ part: Int, of whole: Int) -> String { "\(text(part)) of \(text(whole))" }
}
