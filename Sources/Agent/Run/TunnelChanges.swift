import Client
import Model
import Wire

/// The differences between `agent.yml`, the tunnels that are served, and the machine's tunnels on the server.
enum TunnelChanges {
    /// A tunnel that is or should be served.
    struct Running {
        let wanted: AgentTunnel
        let known: DeclaredTunnel?
        let isOnline: Bool
        /// Why it is not served; nil if it is.
        let problem: String?
    }

    /// The machine's tunnels on the server that the settings no longer list, neither by label nor by name or port.
    static func leftovers(_ known: [DeclaredTunnel], _ settings: AgentSettings) -> [DeclaredTunnel] {
        known.filter { tunnel in !settings.tunnels.values.contains { wants($0, tunnel) } }
    }

    private static func wants(_ wanted: AgentTunnel, _ tunnel: DeclaredTunnel) -> Bool {
        guard wanted.kind == tunnel.kind else { return false }
        if let name = wanted.name { return name == tunnel.name }
        if let port = wanted.port { return port == tunnel.port }
        return wanted.label == tunnel.label
    }

    /// - Parameter known: the machine's tunnels on the server; nil if it could not be asked.
    static func differences(
        _ running: [String: Running], _ settings: AgentSettings, _ known: [DeclaredTunnel]?
    ) -> [TunnelDifference] {
        var found: [TunnelDifference] = []
        for label in Set(settings.tunnels.keys).union(running.keys).sorted() {
            let (before, after) = (running[label], settings.tunnels[label])
            let isSame: Bool =
                if let before, let after {
                    // Without a link nothing is online, which is not a difference.
                    before.wanted == after && (before.isOnline || known == nil)
                } else { false }
            let change: TunnelDifference.Change =
                before == nil ? .add : after == nil ? .remove : isSame ? .none : .change
            found.append(
                TunnelDifference(
                    label: label, change: change, before: before.map { text($0) },
                    after: after.map { text($0, before: before) }))
        }
        let served = Set(running.values.compactMap { $0.known?.id })
        for tunnel in leftovers(known ?? [], settings) where !served.contains(tunnel.id) {
            let place = tunnel.name ?? tunnel.port.map { "port \($0)" } ?? tunnel.id
            found.append(
                TunnelDifference(
                    label: tunnel.label ?? place, change: .remove,
                    before: "\(tunnel.url), on the server, not served", after: nil))
        }
        return found
    }

    private static func text(_ tunnel: Running) -> String {
        let state = tunnel.isOnline ? "" : " (\(tunnel.problem ?? "waiting"))"
        return text(tunnel.wanted, url: tunnel.known?.url, passwords: nil) + state
    }

    /// - Parameter before: the tunnel before the change. Its address is shown if the tunnel stays the same.
    private static func text(_ after: AgentTunnel, before: Running?) -> String {
        let stays = before.map { $0.wanted.wanted == after.wanted } ?? false
        let differ = before.map { $0.wanted.options.policy?.basicAuth != after.options.policy?.basicAuth } ?? false
        return text(after, url: stays ? before?.known?.url : nil, passwords: differ ? "different passwords" : nil)
    }

    private static func text(_ tunnel: AgentTunnel, url: String?, passwords: String?) -> String {
        let place = url ?? tunnel.name ?? tunnel.port.map { "port \($0)" } ?? "a new address"
        return "\(tunnel.kind.rawValue) \(place) -> \(tunnel.title)\(options(tunnel, passwords))"
    }

    /// The other options, without the passwords.
    private static func options(_ tunnel: AgentTunnel, _ passwords: String?) -> String {
        var words: [String] = []
        let options = tunnel.options
        if let policy = options.policy { words += PolicyText.words(policy, passwords: passwords) }
        if let verify = tunnel.verify { words.append("verify \(verify)") }
        if let host = options.hostHeader { words.append("host \(host)") }
        if let path = options.path { words.append("path \(path)") }
        if let seconds = options.keepAlive, seconds != 4 { words.append("keepalive \(seconds)") }
        if let seconds = options.headTimeout, seconds != 30 { words.append("timeout \(seconds)") }
        if tunnel.lists { words.append("list") }
        if tunnel.proxyProtocol { words.append("PROXY header") }
        if let file = tunnel.upstreamCA { words.append("upstream-ca \(file)") }
        if tunnel.upstreamInsecure { words.append("upstream-insecure") }
        return words.isEmpty ? "" : " (\(words.joined(separator: ", ")))"
    }
}
