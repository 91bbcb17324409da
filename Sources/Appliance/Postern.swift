import ArgumentParser
import CPlatform
import Client
import Database
import Glibc
import Model
import Storage
import TransportSecurity

/// The command line. Exit statuses: 0 done, 1 refused or failed, 2 wrong usage, 75 try again; `share` exits with its command's status.
@main
struct Postern: AsyncParsableCommand {
    static let version = "0.3.1"

    static let configuration = CommandConfiguration(
        commandName: "postern",
        abstract: "The small back gate to your own machines.",
        discussion: """
            Share a terminal through a server of your own that cannot read it.

            On the server:   postern serve --state /var/lib/postern
                             postern user add ana --state /var/lib/postern
            To try it out:   postern demo \
            Then, anywhere:  postern login https://box.example
                             postern share
                             postern join SYCLX-7K2Q9M-cactus-violin
            """,
        version: "postern \(version)",
        subcommands: [
            ShareCommand.self, JoinCommand.self, HTTPCommand.self, TCPCommand.self, TLSCommand.self, TunnelCommand.self,
            MachineCommand.self, AgentCommand.self, DomainCommand.self, AccessCommand.self,
            LoginCommand.self, BenchCommand.self, DemoCommand.self,
            ServeCommand.self, SetupCommand.self, UserCommand.self, TokenCommand.self, OrganisationCommand.self,
            AuditCommand.self,
            KeysCommand.self, SecretCommand.self, ConfigCommand.self,
            CertCommand.self, IncidentCommand.self, BackupCommand.self, RestoreCommand.self, DoctorCommand.self,
            VersionCommand.self,
        ])

    static func main() async {
        // A crash must not write keys to disk.
        postern_forbid_core_dumps()
        signal(SIGPIPE, SIG_IGN)
        let outcome = await run(nil)
        if !outcome.text.text.isEmpty { Output.line(outcome.text, to: outcome.descriptor) }
        Glibc.exit(outcome.status)
    }

    /// The result of a command: its last output, where to write it, and the exit status.
    struct Outcome {
        var text: TerminalText = ""
        var descriptor: CInt = 2
        var status: Int32 = 0
    }

    /// Runs one command line.
    /// - Parameter arguments: without the program's name; nil for the process's own.
    static func run(_ arguments: [String]?) async -> Outcome {
        if let wrong = unknownCommand(arguments ?? Array(CommandLine.arguments.dropFirst())) { return wrong }
        do {
            var command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return Outcome()
        } catch {
            return outcome(of: error)
        }
    }

    /// The parser reports an unknown command as an unexpected argument, and shows the whole help for `help` with an unknown word.
    private static func unknownCommand(_ arguments: [String]) -> Outcome? {
        let words = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
        let known = configuration.subcommands.flatMap {
            [$0.configuration.commandName ?? ""] + $0.configuration.aliases
        }
        guard let word = words.first, !word.hasPrefix("-"), !known.contains(word), word != "help" else { return nil }
        let near: TerminalText =
            Spelling.nearest(to: word, in: known, differing: 2).map { "; did you mean '\($0)'?" } ?? "."
        return failed("there is no command '\(word)'\(near) 'postern --help' lists all commands.", 2)
    }

    private static func outcome(of error: any Error) -> Outcome {
        switch error {
        case let error as ClientError: return failed(error.message, error.status.rawValue)
        case let error as StorageError: return failed("\(error.message)", error.code == .busy ? 75 : 1)
        case let error as Refusal: return failed("\(error.message)", 1)
        case let error as CommandFailure: return failed(error.message, error.status)
        case let error as TLSError: return failed("\(error.message)", 1)
        case let error as ExitCode: return Outcome(status: error.rawValue)
        default: break
        }
        // Errors of the parser: help and versions are not errors, everything else is wrong usage.
        let code = exitCode(for: error)
        // Help and usage, and words from this command line.
        let text = TerminalText(trusted: fullMessage(for: error))
        if code == .success { return Outcome(text: text, descriptor: 1) }
        return Outcome(text: text, status: code == .validationFailure ? 2 : 1)
    }

    private static func failed(_ message: TerminalText, _ status: Int32) -> Outcome {
        Outcome(text: "postern: \(message)", status: status)
    }
}
