import ArgumentParser
import Database
import Model
import NIOCore
import Operations
import Storage
import Wire

/// `postern token …`: API tokens, directly in the database.
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Manages API tokens.",
        discussion: "Example: postern token create ana --name laptop",
        subcommands: [TokenCreate.self, TokenList.self, TokenRevoke.self])
}

struct TokenCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Creates a token and prints it once.",
        discussion: "Example: postern token create ana --name laptop --json")

    private struct Made: Encodable { let id, username, name, token: String }

    @Argument(help: "The account's name.")
    var user: String

    @Option(help: "What the token is for; at most 64 characters.")
    var name = "token"

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard (1...64).contains(name.count) else { throw ValidationError("--name must be 1 to 64 characters long.") }
    }

    func run() async throws {
        let (user, name) = (self.user, self.name)
        let token = try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).createToken(name: name, for: user)
        }
        if json {
            let made = Made(id: token.id, username: user, name: name, token: token.secret)
            return Output.json(made)
        }
        Output.line("\(token.secret)\nShown only now. Use it with: postern login URL")
    }
}

struct TokenList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists an account's tokens, without the tokens themselves.",
        discussion: "Example: postern token list ana")

    private struct Listed: Encodable { let id, name, createdAt: String; let revokedAt: String? }

    @Argument(help: "The account's name.")
    var user: String

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let user = self.user
        let tokens = try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).tokens(of: user)
        }
        for token in tokens {
            let made = token.createdAt.iso
            let revoked = token.revokedAt.map { $0.iso }
            if json {
                let listed = Listed(id: token.id, name: token.name, createdAt: made, revokedAt: revoked)
                Output.json(listed)
            } else {
                Output.line("\(token.id)\t\(token.name)\t\(made)\t\(revoked.map { "revoked \($0)" } ?? "")")
            }
        }
    }
}

struct TokenRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revokes a token, immediately and permanently.",
        discussion: "Example: postern token revoke 0198c2e4-…")

    @Argument(help: "The token's id, as 'postern token list' shows it.")
    var id: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let id = self.id
        try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).revokeToken(id)
        }
        Output.line("Revoked, with every access token created from it; connections that it opened end within a second.")
    }
}
