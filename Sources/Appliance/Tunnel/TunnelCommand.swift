import ArgumentParser
import Client
import Model
import Wire

/// `postern tunnel …`: the tunnels of the caller's organisation.
struct TunnelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tunnel", abstract: "Lists, stops and removes tunnels.",
        discussion: "Example: postern tunnel list",
        subcommands: [
            TunnelList.self, TunnelShow.self, TunnelStop.self, TunnelPause.self, TunnelResume.self, TunnelRemove.self,
            TunnelDiff.self, TunnelApply.self,
        ], aliases: ["tunnels"])

    /// The server at which the person is signed in.
    static func api() throws -> APIClient {
        let credentials = try Credentials.load()
        return APIClient(address: try credentials.address(), token: credentials.token)
    }
}

struct TunnelList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists your tunnels.", discussion: "Example: postern tunnel list --all --json")

    @Flag(help: "List all tunnels of the organisation that your role may see.")
    var all = false

    @Flag(help: "Print one JSON object per line.")
    var json = false

    func run() async throws {
        let tunnels = try await TunnelCommand.api().tunnels(all: all)
        if json { return tunnels.forEach { Output.json($0) } }
        guard !tunnels.isEmpty else { return Output.line("No tunnels. 'postern http 3000' opens one.") }
        let rows = tunnels.map {
            [$0.url, $0.state, $0.owner, "\($0.connections)", "\($0.requests)", $0.lastSeenAt ?? "never"]
        }
        TextTable.write(["ADDRESS", "STATE", "OWNER", "CONNECTIONS", "REQUESTS", "LAST SEEN"], rows)
    }
}

struct TunnelShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one tunnel.", discussion: "Example: postern tunnel show demo")

    @Argument(help: "Its name, its port or its id.")
    var tunnel: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let found = try await TunnelCommand.api().tunnel(tunnel)
        if json { return Output.json(found) }
        Output.line("Address      \(found.url)")
        Output.line("State        \(found.state)")
        Output.line("Owner        \(found.owner)")
        Output.line("Kind         \(found.kind.rawValue)\(found.kept ? ", kept when its command ends" : "")")
        Output.line("Since        \(found.createdAt)")
        Output.line("Last seen    \(found.lastSeenAt ?? "never")")
        Output.line("Connections  \(found.connections)")
        Output.line("Requests     \(found.requests)")
        Output.line("Bytes        \(found.bytes)")
        Output.line("Id           \(found.id)")
    }
}

struct TunnelStop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stops the command that serves a tunnel; a chosen name stays reserved.",
        discussion: "Example: postern tunnel stop demo")

    @Argument(help: "Its name, its port or its id.")
    var tunnel: String

    func run() async throws {
        try await TunnelCommand.api().change(tunnel: tunnel, "stop")
        Output.line("Stopped.")
    }
}

struct TunnelPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Pauses a tunnel; visitors are refused until it is resumed.",
        discussion: "Example: postern tunnel pause demo")

    @Argument(help: "Its name, its port or its id.")
    var tunnel: String

    func run() async throws {
        try await TunnelCommand.api().change(tunnel: tunnel, "pause")
        Output.line("Paused. 'postern tunnel resume \(tunnel)' resumes it.")
    }
}

struct TunnelResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Resumes a paused tunnel.", discussion: "Example: postern tunnel resume demo")

    @Argument(help: "Its name, its port or its id.")
    var tunnel: String

    func run() async throws {
        try await TunnelCommand.api().change(tunnel: tunnel, "resume")
        Output.line("Resumed.")
    }
}

struct TunnelRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Releases a name or a port; it stays reserved for your organisation for 90 days.",
        discussion: "Example: postern tunnel remove demo")

    @Argument(help: "Its name, its port or its id.")
    var tunnel: String

    func run() async throws {
        try await TunnelCommand.api().remove(tunnel: tunnel)
        Output.line("Removed.")
    }
}
