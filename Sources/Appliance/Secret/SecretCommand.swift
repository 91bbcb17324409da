import ArgumentParser
import Database
import Glibc
import Model
import NIOCore
import Operations
import Storage
import Wire

/// `postern secret …`: secrets of the configuration, stored sealed in the database.
struct SecretCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secret", abstract: "Stores configuration secrets sealed in the database.",
        discussion: """
            Example: sudo postern secret set smtp-password < password.txt

            A secret in the file, a variable or a credential takes precedence over one stored here. A running server uses it after a \
            restart.
            """,
        subcommands: [SecretSet.self, SecretList.self, SecretRemove.self])

    /// The settings that are secrets and are read after the database was opened.
    static var names: [String] { Setting.all.filter { $0.isSecret && !$0.key.hasPrefix("acme") }.map(\.key) }

    static func check(_ name: String) throws {
        guard names.contains(name) else {
            throw ValidationError(
                "'\(name)' is not a secret of the configuration: use \(names.joined(separator: ", ")).")
        }
    }
}

struct SecretSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Reads a secret from standard input and seals it.",
        discussion: "Example: sudo postern secret set github-client-secret < secret.txt")

    @Argument(help: "The setting's name.")
    var name: String

    @OptionGroup var server: ServerOptions

    func validate() throws { try SecretCommand.check(name) }

    func run() async throws {
        guard let secret = readLine(strippingNewline: true), !secret.isEmpty else {
            throw CommandFailure("standard input is empty; give the secret there, on one line", status: 2)
        }
        let name = self.name
        try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).setSecret(name, to: secret)
        }
        Output.line("\(name) is set; restart the server to use it.")
    }
}

struct SecretList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists which secrets are set and since when, without their values.",
        discussion: "Example: sudo postern secret list --json")

    private struct Listed: Encodable, Sendable { let name, changedAt: String }

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let all = try await server.withDatabase { database, _ in
            try await database.read {
                try StoredSecret.list(in: $0).map {
                    Listed(name: $0.name, changedAt: $0.changedAt.iso)
                }
            }
        }
        for one in all {
            if json { Output.json(one) } else { Output.line("\(one.name)\t\(one.changedAt)") }
        }
    }
}

struct SecretRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Removes a secret.",
        discussion: "Example: sudo postern secret remove smtp-password")

    @Argument(help: "The setting's name.")
    var name: String

    @OptionGroup var server: ServerOptions

    func validate() throws { try SecretCommand.check(name) }

    func run() async throws {
        let name = self.name
        let found = try await server.withDatabase { database, _ in
            try await ApplianceOperations(database: database, actor: .command).removeSecret(name)
        }
        guard found else { throw CommandFailure("\(name) is not set") }
        Output.line("\(name) is removed.")
    }
}
