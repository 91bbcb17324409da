import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Tunnels
import Wire

/// The pages of an organisation's tunnels, and of all tunnels for administrators.
struct TunnelPages: Sendable {
    let tunnels: TunnelOperations
    let resources: TunnelResources

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/tunnels", for: .member(.tenantRead), use: list)
        routes.page(.post, "/organisation/tunnels/change", for: .account, use: change)
        routes.page(.get, "/administration/tunnels", for: .administrator, use: listEverywhere)
        routes.page(.post, "/administration/tunnels/change", for: .administrator, use: changeAnywhere)
    }

    // MARK: The organisation's

    @Sendable private func list(_ page: PageRequest) async throws -> Response {
        let open = try await tunnels.overview(by: page.caller)
        guard !open.tunnels.isEmpty else { return page.page("Tunnels", Self.empty(resources)) }
        let rows = open.tunnels.map { one in
            row(one) + [one.mayManage ? actions(one, "/organisation/tunnels/change", page) : ""]
        }
        return page.page(
            "Tunnels",
            """
            <p>\(open.isEverybodys ? "Everybody's" : "Your") tunnels, as they are now.</p>
            \(Field.table("Tunnels", Self.heads + [""], rows))
            """
        ).refreshing
    }

    private static let heads = ["Address", "State", "Owner", "Connections", "Requests", "Bytes", "Last seen"]

    private static func empty(_ resources: TunnelResources) -> HTML {
        let configuration = resources.server.configuration
        guard configuration.domain != nil || configuration.ports != nil else {
            return """
                <p>This server has no tunnels yet. Its owner sets <code>tunnel-domain</code> for addresses and <code>tunnel-ports</code>
                for ports; <code>docs/tunnels.md</code> says how.</p>
                """
        }
        return """
            <p>No tunnels yet. On the machine whose web server your friends should see, with its port in place of 3000:</p>
            <pre>postern http 3000</pre>
            <p>For anything that is no web server, such as SSH:</p>
            <pre>postern tcp 22</pre>
            """
    }

    private func row(_ one: TunnelOperations.Listed) -> [HTML] {
        let resource = resources.resource(one)
        let address: HTML =
            one.tunnel.kind == .http && resource.state == "online"
            ? "<a href=\"\(resource.url)\" rel=\"noopener noreferrer\" target=\"_blank\">\(resource.url)</a>"
            : "\(resource.url)"
        return [
            address, "\(resource.state)", "\(resource.owner)", "\(resource.connections)", "\(resource.requests)",
            "\(ByteText.text(resource.bytes))",
            "\(one.status == nil ? one.tunnel.seenAt?.readable ?? "never" : "now")",
        ]
    }

    private func actions(_ one: TunnelOperations.Listed, _ path: String, _ page: PageRequest) -> HTML {
        let isPaused = one.tunnel.isPaused
        var verbs = [isPaused ? ("resume", "Resume") : ("pause", "Pause")]
        if one.status != nil { verbs.append(("stop", "Stop")) }
        if path.hasPrefix("/organisation") { verbs.append(("remove", "Remove")) }
        return verbs.map { verb, label in
            Field.action(path, label, page.visit.formToken, ["id": one.tunnel.id, "verb": verb])
        }.joined()
    }

    @Sendable private func change(_ page: PageRequest) async throws -> Response {
        let id = try page.form.require("id")
        let notice: String
        switch try page.form.require("verb") {
        case "stop":
            notice =
                try await tunnels.stop(id, by: page.caller) ? "The command is told to end." : "Nothing serves it now."
        case "pause":
            try await tunnels.setPaused(id, true, by: page.caller)
            notice = "The tunnel lets nobody in now."
        case "resume":
            try await tunnels.setPaused(id, false, by: page.caller)
            notice = "The tunnel lets visitors in again."
        case "remove":
            try await tunnels.remove(id, by: page.caller)
            notice = "The tunnel is removed. Its name or port stays yours for 90 days."
        default: throw APIError.badRequest("verb is stop, pause, resume or remove")
        }
        return page.back(to: "/organisation/tunnels", notice)
    }

    // MARK: Everybody's

    @Sendable private func listEverywhere(_ page: PageRequest) async throws -> Response {
        let all = try await tunnels.listEverywhere(by: page.caller)
        let rows = all.map { one, organisation in
            row(one) + ["\(organisation)", actions(one, "/administration/tunnels/change", page)]
        }
        return page.page(
            "All tunnels",
            """
            <p>Every tunnel of this server. A paused one lets nobody in, and only an administrator can resume it.</p>
            \(Field.table("Tunnels of all organisations", Self.heads + ["Organisation", ""], rows))
            """
        ).refreshing
    }

    @Sendable private func changeAnywhere(_ page: PageRequest) async throws -> Response {
        let id = try page.form.require("id")
        let notice: String
        switch try page.form.require("verb") {
        case "stop":
            notice =
                try await tunnels.kill(id: id, by: page.caller)
                ? "The command is told to end." : "Nothing serves it now."
        case "pause":
            try await tunnels.setBlocked(id: id, true, by: page.caller)
            notice = "The tunnel lets nobody in now."
        case "resume":
            try await tunnels.setBlocked(id: id, false, by: page.caller)
            notice = "The tunnel lets visitors in again."
        default: throw APIError.badRequest("verb is stop, pause or resume")
        }
        return page.back(to: "/administration/tunnels", notice)
    }
}

/// Numbers of bytes as people read them.
enum ByteText {
    static func text(_ bytes: Int) -> String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return unit == "B" ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1024
        }
        return "\((value * 10).rounded() / 10) TiB"
    }
}
