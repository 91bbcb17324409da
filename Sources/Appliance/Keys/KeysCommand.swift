import ArgumentParser
import Database
import Model
import Operations
import Storage

/// `postern keys …`: the keys behind what is sealed and signed.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Changes the server's keys, while it runs.",
        discussion: "Example: sudo postern keys rotate-master",
        subcommands: [RotateMaster.self, RotateSigning.self])
}

struct RotateMaster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-master",
        abstract: "Makes a new master key and wraps every organisation's data key with it.",
        discussion: """
            Example: sudo postern keys rotate-master

            No secret is sealed anew, so that this takes a moment. Backups made before need the old master.key: keep it with them.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let count = try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).rotateMasterKey()
        }
        Output.line("\(count) data keys are wrapped with the new master key.")
    }
}

struct RotateSigning: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-signing", abstract: "Makes a new key for access tokens; tokens that are out stay good.",
        discussion: """
            Example: sudo postern keys rotate-signing

            This happens by itself every 30 days. A running server takes the new key within an hour. To make every token useless
            at once, end the sign-ins and revoke the tokens instead.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let id = try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).rotateSigningKey()
        }
        Output.line("The new signing key is \(id).")
    }
}
