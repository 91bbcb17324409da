import ArgumentParser
import Database
import Model
import NIOCore
import Operations
import Storage
import Wire

/// `postern incident …`: messages on the status page.
struct IncidentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "incident", abstract: "Posts, lists and ends incidents on the status page.",
        discussion: "Example: postern incident post 'The disk is being replaced; back at 18:00 UTC'",
        subcommands: [IncidentPost.self, IncidentResolve.self, IncidentList.self])
}

struct IncidentPost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "post", abstract: "Posts a message on the status page.",
        discussion: "Example: postern incident post 'Guests may have to join again at 18:00 UTC'")

    @Argument(help: "The message, at most 500 bytes.")
    var text: String

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Posted: Encodable { let id, text, startedAt: String }

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let text = self.text
        let incident = try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).postIncident(text)
        }
        if json {
            let posted = Posted(
                id: incident.id, text: incident.text,
                startedAt: incident.startedAt.iso)
            return Output.json(posted)
        }
        Output.line("Posted. End it with: postern incident resolve \(incident.id.suffix(12))")
    }
}

struct IncidentResolve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "Ends an incident.",
        discussion: "Example: postern incident resolve 3f2a9c017b44")

    /// The minimum number of characters that identify an incident. `incident list` shows twelve.
    private static let shortest = 4

    @Argument(help: "The incident's id, or the end of it.")
    var id: String

    @OptionGroup var server: ServerOptions

    func validate() throws {
        if id.count < Self.shortest {
            throw ValidationError("Give at least \(Self.shortest) characters of the incident's id.")
        }
    }

    func run() async throws {
        let id = self.id
        let incident = try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).resolveIncident(id)
        }
        Output.line("Ended: \(incident.text)")
    }
}

struct IncidentList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists incidents, the newest first.",
        discussion: "Example: postern incident list --all")

    private struct Listed: Encodable { let id, text, startedAt: String; let resolvedAt: String? }

    @Flag(help: "Include incidents that have ended.")
    var all = false

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let all = self.all
        let incidents = try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).incidents(includingResolved: all)
        }
        for incident in incidents {
            let started = incident.startedAt.iso
            let resolved = incident.resolvedAt.map { $0.iso }
            if json {
                let listed = Listed(id: incident.id, text: incident.text, startedAt: started, resolvedAt: resolved)
                Output.json(listed)
            } else {
                Output.line(
                    "\(incident.id.suffix(12))\t\(started)\t\(resolved.map { "ended \($0)" } ?? "open")\t\(incident.text)"
                )
            }
        }
    }
}
