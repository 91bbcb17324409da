import ArgumentParser
import Database
import Model
import Operations
import Storage

/// `postern trial`
struct TrialCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trial", abstract: "Prints an account's links.", discussion: "Example: postern trial ana all")

    @Argument(help: "The account's name.")
    var user: String

    @Argument(help: "The list's name.")
    var list: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (user, list) = (self.user, self.list)
        let links = try await server.withDatabase { database, _ in
            let caller = Caller.command(as: try await database.read { try User.named(user, in: $0) })
            return try await TrialOperations(database: database).links(of: list, by: caller)
        }
        links.forEach { Output.line("\($0)") }
    }
}
