import ArgumentParser
import Client
import Files
import Model
import Wire

/// `postern access …`: who may use a tunnel or a domain.
struct AccessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "access", abstract: "Shows and changes who may use a tunnel or a domain.",
        discussion: """
            Example: postern access set demo --private
                     postern access set app.example.org --private --member ana --rate-limit 120
                     postern access show demo
                     postern access clear demo

            The policy is stored on the server, and applies in addition to the options of the command or agent.yml that \
            serves the tunnel: each of them must allow a visitor.
            """,
        subcommands: [AccessShow.self, AccessSet.self, AccessClear.self])

    /// A domain has a dot, and a tunnel's name has none.
    static func place(_ target: String) -> String {
        "/\(target.contains(".") ? "domains" : "tunnels")/\(PercentEncoding.encoded(target))"
    }

    static func write(_ policy: AccessPolicy, of target: String) {
        let words = PolicyText.words(policy)
        guard !words.isEmpty else { return Output.line("Everybody who knows the address may use \(target).") }
        for word in words { Output.line("\(word)") }
    }
}

struct AccessShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows the access policy of a tunnel or a domain.",
        discussion: "Example: postern access show demo")

    @Argument(help: "The tunnel's or the domain's name.")
    var target: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let policy = try await TunnelCommand.api().policy(of: AccessCommand.place(target))
        if json { return Output.json(policy) }
        AccessCommand.write(policy, of: target)
    }
}

struct AccessSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Replaces the access policy of a tunnel or a domain.",
        discussion: """
            Example: postern access set demo --private --allow 203.0.113.0/24
                     postern access set demo --policy policy.json

            Options that are not given do not apply any more. Open connections are closed.
            """)

    @Argument(help: "The tunnel's or the domain's name.")
    var target: String

    @OptionGroup var visitors: VisitorOptions
    @OptionGroup var options: PolicyOptions

    @Option(
        name: .customLong("policy"),
        help: ArgumentHelp(
            "Take the policy from a file instead, as 'postern access show --json' prints it; - reads standard input.",
            valueName: "file"))
    var file: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        var policy = try options.policy()
        visitors.apply(to: &policy)
        if let file {
            guard policy.isEmpty else {
                throw CommandFailure("--policy cannot be combined with other rules", status: 2)
            }
            policy = try PolicyFile.read(file)
        }
        guard !policy.isEmpty else {
            throw CommandFailure("give at least one rule, or use 'postern access clear \(target)'", status: 2)
        }
        let stored = try await TunnelCommand.api().set(policy, of: AccessCommand.place(target))
        if json { return Output.json(stored) }
        AccessCommand.write(stored, of: target)
    }
}

struct AccessClear: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear", abstract: "Removes the access policy of a tunnel or a domain.",
        discussion: "Example: postern access clear demo")

    @Argument(help: "The tunnel's or the domain's name.")
    var target: String

    func run() async throws {
        _ = try await TunnelCommand.api().set(AccessPolicy(), of: AccessCommand.place(target))
        AccessCommand.write(AccessPolicy(), of: target)
    }
}
