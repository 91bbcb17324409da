import ArgumentParser
import Database
import Model
import Operations
import Storage

/// `postern user disable`
struct UserDisable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable",
        abstract:
            "Puts an account out of use: sign-ins end, tokens are refused, connections are cut. Nothing is removed.",
        discussion: "Example: postern user disable ana")

    @Argument(help: "The account's name.")
    var name: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let name = self.name
        try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).disable(name)
        }
        Output.line("\(name) is out of use. 'postern user enable \(name)' takes that back.")
    }
}

/// `postern user enable`
struct UserEnable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Puts an account to use again; its tokens work, its people sign in anew.",
        discussion: "Example: postern user enable ana")

    @Argument(help: "The account's name.")
    var name: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let name = self.name
        try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).enable(name)
        }
        Output.line("\(name) is in use again.")
    }
}
