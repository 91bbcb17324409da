import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Telemetry
import Tunnels

/// `/home`: current activity, what needs this person's attention, and what to do next.
struct HomePage: Sendable {
    let services: WebServices

    func add(to routes: Routes) { routes.page(.get, "/home", for: .account, use: home) }

    @Sendable private func home(_ page: PageRequest) async throws -> Response {
        guard page.member != nil else {
            return page.page(
                "Overview",
                Panel.empty(
                    "The selected organisation is deleted",
                    "<p><a class=\"button main\" href=\"/organisation\">Choose another</a></p>"))
        }
        let sessions = try await seen(page) { try await services.shares.overview(by: $0).sessions.count }
        let tunnels = try await seen(page) { try await services.tunnels.overview(by: $0).tunnels }
        let machines = try await seen(page) { try await services.machines.overview(by: $0).machines }
        var figures: [Panel.Figure] = []
        if let sessions {
            figures.append(.init(value: "\(sessions)", name: "Open share sessions", path: "/organisation/sessions"))
        }
        if let tunnels {
            let online = tunnels.count { $0.status != nil }
            figures.append(
                .init(value: "\(online) of \(tunnels.count)", name: "Tunnels online", path: "/organisation/tunnels"))
        }
        if let machines {
            let online = machines.count { $0.status != nil }
            figures.append(
                .init(value: "\(online) of \(machines.count)", name: "Machines online", path: "/organisation/machines"))
        }
        let needs = try await needs(page, machines ?? [])
        let attention: HTML =
            needs.isEmpty
            ? Panel.notice("<p>Nothing needs your attention.</p>", .ok)
            : Panel.html("Needs your attention", "<ul>\(needs.map { "<li>\($0)</li>" as HTML }.joined())</ul>")
        return page.page(
            "Overview", Panel.figures(figures) + attention + Self.start, live: [.sessions, .tunnels, .machines])
    }

    /// Leaves out what the person's role or missing second factor does not allow.
    private func seen<Value>(_ page: PageRequest, _ read: (Caller) async throws -> Value) async throws -> Value? {
        do { return try await read(page.caller) } catch is Refusal { return nil }
    }

    private func needs(_ page: PageRequest, _ machines: [MachineOperations.Listed]) async throws -> [HTML] {
        var needs: [HTML] = []
        if try await !services.credentials.secondFactor(of: page.caller).isOn {
            needs.append(
                "Your account has no second factor: a stolen password is enough. <a href=\"/account/second-factor\">Set it up</a>"
            )
        }
        for machine in machines {
            guard let problem = machine.problem else { continue }
            needs.append(
                "<a href=\"/organisation/machines/\(machine.machine.id)\">\(machine.machine.name)</a>: \(problem)")
        }
        if page.caller.user.isAdmin {
            for part in await services.board.report().components where part.state != .ok {
                needs.append("This server's \(part.name): \(part.text) <a href=\"/administration\">View</a>")
            }
        }
        return needs
    }

    private static let start = Panel.columns([
        Panel.html(
            "Share a terminal",
            """
            <p>Prints a link and two words for your guests. They join in a browser or on the command line, and this server cannot
            read what is shown.</p>\(Copyable.html("postern share"))<p><a href="/docs/share">How sharing works</a></p>
            """),
        Panel.html(
            "Publish a web server",
            """
            <p>Makes port 3000 of your machine reachable at a public address.</p>\(Copyable.html("postern http 3000"))
            <p><a href="/docs/tunnels">How tunnels work</a></p>
            """),
        Panel.html(
            "Keep a machine connected",
            """
            <p>An enrolled machine keeps its tunnels across restarts, and its state is shown here.</p>
            <p><a class="button" href="/organisation/machines">Add a machine</a></p><p><a href="/docs/machines">How machines work</a></p>
            """),
    ])
}

extension WebFeature {
    /// The first page of a signed-in person.
    static let home = WebFeature(
        name: "home", routes: { services, routes in HomePage(services: services).add(to: routes) })
}
