import ArgumentParser
import Database
import Model
import NIOCore
import Storage
import Wire

/// `postern audit …`: reads the audit logs directly in the database.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Reads and verifies the audit logs.",
        discussion: "Example: postern audit verify && postern audit list --organisation workshop --action member",
        subcommands: [AuditVerify.self, AuditList.self])
}

struct AuditVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Finds every event that was changed, removed, reordered or inserted.",
        discussion: """
            Example: sudo postern audit verify

            Each log's events are chained by SHA-256, and the newest is signed with audit.key of the state directory. Exits with \
            1 if anything is wrong. A database that was restored to an older state is detected by comparing the heads \
            printed here with those in the journal ('audit head').
            """)

    private struct Report: Encodable {
        let organisationId: String
        let events: Int
        let head: String?
        let problems: [String]
    }

    @Flag(help: "Print one JSON object per log.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let verdicts = try await server.withDatabase { database, _ in
            var verdicts: [(Audit.Verdict, name: String)] = []
            for id in try await database.read({ try Audit.logs(in: $0) }) {
                verdicts.append(
                    try await database.read {
                        (try Audit.verify(in: $0.tenant(id)), try Organisation.find(id: id, in: $0)?.name ?? id)
                    })
            }
            return verdicts
        }
        for (verdict, name) in verdicts { show(verdict, name) }
        let broken = verdicts.filter { !$0.0.problems.isEmpty }.count
        if broken > 0 { throw CommandFailure("\(broken) of \(verdicts.count) audit logs are not intact") }
        if !json { Output.line("\(verdicts.count) audit logs, all intact.") }
    }

    private func show(_ verdict: Audit.Verdict, _ name: String) {
        let head = verdict.head.map { Hexadecimal.text($0.digest) }
        if json {
            let report = Report(
                organisationId: verdict.organisationId, events: verdict.count, head: head, problems: verdict.problems)
            return Output.json(report)
        }
        Output.line("\(name)\t\(verdict.count) events\thead \(head?.prefix(16) ?? "-")")
        for problem in verdict.problems { Output.line("  \(problem)") }
    }
}

struct AuditList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists events, newest first; the server's own log without --organisation.",
        discussion: "Example: postern audit list --organisation workshop --result failed --json")

    private struct Listed: Encodable {
        let number: Int
        let at, actor, action, target, result, detail, address, credential: String
    }

    @Option(help: "An organisation's name or id; an account's name selects its personal organisation.")
    var organisation: String?

    @Option(help: "Only what this account did.")
    var actor: String?

    @Option(help: "Only this action, or group of actions: member.removed, member.")
    var action: String?

    @Option(help: "Only done, failed or refused.")
    var result: String?

    @Option(help: "At most this many.")
    var limit = 100

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let filter = Audit.Filter(actor: actor, action: action, result: result)
        let (organisation, limit) = (self.organisation, self.limit)
        let events = try await server.withDatabase { database, _ in
            try await database.read { connection in
                let log = try organisation.map { try Organisation.named($0, in: connection).id } ?? Audit.appliance
                return try Audit.list(filter, limit: limit, in: connection.tenant(log))
            }
        }
        for event in events {
            let at = event.at.iso
            if json {
                let listed = Listed(
                    number: event.number, at: at, actor: event.actorName, action: event.action, target: event.target,
                    result: event.result, detail: event.detail, address: event.address, credential: event.credential)
                Output.json(listed)
            } else {
                Output.line(
                    [
                        "\(event.number)", at, event.actorName, event.action, event.target, event.result, event.detail,
                        event.address,
                    ].map { "\($0)" as TerminalText }.joined(separator: "\t"))
            }
        }
    }
}
