import ArgumentParser
import CPlatform
import Client
import Database
import Glibc
import Model
import Storage
import TransportSecurity

/// The command line. Exit statuses: 0 done, 1 refused or failed, 2 wrong usage, 75 try again; `share` exits as its command does.
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
            Just looking:    postern demo
            Then, anywhere:  postern login https://box.example
                             postern share
                             postern join SYCLX-7K2Q9M-cactus-violin
            """,
        subcommands: [
            ShareCommand.self, JoinCommand.self, LoginCommand.self, BenchCommand.self, DemoCommand.self,
            ServeCommand.self, SetupCommand.self, UserCommand.self, TokenCommand.self, OrganisationCommand.self,
            AuditCommand.self,
            KeysCommand.self, SecretCommand.self, ConfigCommand.self,
            CertCommand.self, IncidentCommand.self, BackupCommand.self, RestoreCommand.self, DoctorCommand.self,
            VersionCommand.self,
        ])

    static func main() async {
        // A crash must not write keys to a disk.
        postern_forbid_core_dumps()
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            leave(error)
        }
    }

    /// Says what is wrong, once, and exits with the documented status.
    private static func leave(_ error: any Error) -> Never {
        switch error {
        case let error as ClientError: stop(error.message, error.status.rawValue)
        case let error as StorageError: stop("\(error.message)", error.code == .busy ? 75 : 1)
        case let error as Refusal: stop("\(error.message)", 1)
        case let error as CommandFailure: stop(error.message, error.status)
        case let error as TLSError: stop("\(error.message)", 1)
        case let error as ExitCode: Glibc.exit(error.rawValue)
        default: break
        }
        // What the parser throws: help and versions are no errors, everything else is wrong usage.
        let code = exitCode(for: error)
        // Help and usage, and words of this command line.
        let text = TerminalText(trusted: fullMessage(for: error))
        if code == .success {
            Output.line(text)
            Glibc.exit(0)
        }
        Output.error(text)
        Glibc.exit(code == .validationFailure ? 2 : 1)
    }

    private static func stop(_ message: TerminalText, _ status: Int32) -> Never {
        Output.error("postern: \(message)")
        Glibc.exit(status)
    }
}
