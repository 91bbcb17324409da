import ArgumentParser
import Database
import Model
import Operations
import Storage
import TransportSecurity

/// `postern keys …`: the keys for encryption and signatures.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Rotates the server's keys while it runs.",
        discussion: "Example: sudo postern keys rotate-master",
        subcommands: [RotateMaster.self, RotateSigning.self, RotateLink.self])
}

struct RotateMaster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-master",
        abstract: "Creates a new master key and wraps every organisation's data key with it.",
        discussion: """
            Example: sudo postern keys rotate-master

            No secret is sealed again, so this takes only a moment. Earlier backups need the old master.key: keep it with them.
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
        commandName: "rotate-signing", abstract: "Creates a new key for access tokens; issued tokens stay valid.",
        discussion: """
            Example: sudo postern keys rotate-signing

            This happens automatically every 30 days. A running server uses the new key within an hour. To invalidate every token \
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

struct RotateLink: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-link",
        abstract: "Creates the next key that identifies this server to machines, and announces it for 90 days.",
        discussion: """
            Example: sudo postern keys rotate-link && sudo systemctl restart postern

            Machines receive it when they connect, and keep both. The server uses it from its first start after 90 days; a \
            machine that was offline all that time must be enrolled again.
            """)

    @OptionGroup var server: ServerOptions

    func run() throws {
        let configuration = try server.load()
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        let next = try LinkIdentity.announce(stateDirectory: configuration.stateDirectory)
        let day = Timestamp(milliseconds: Int64(LinkIdentity.changesAt(next)) * 1000).readable
        Output.line(
            "The next key is \(next.leaf.keyFingerprint). Restart the server: it announces the key, and uses it from \(day) on."
        )
    }
}
