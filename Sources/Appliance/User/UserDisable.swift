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
            "Disables an account: sign-ins end, tokens are refused, connections are closed. Nothing is removed.",
        discussion: "Example: postern user disable ana")

    @Argument(help: "The account's name.")
    var name: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let name = self.name
        try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).disable(name)
        }
        Output.line("\(name) is disabled. 'postern user enable \(name)' enables it again.")
    }
}

/// `postern user enable`
struct UserEnable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Enables a disabled account; its tokens work again, its user signs in again.",
        discussion: "Example: postern user enable ana")

    @Argument(help: "The account's name.")
    var name: String

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let name = self.name
        try await server.withDatabase { database, _ in
            try await AccountAdministration(database: database, actor: .command).enable(name)
        }
        Output.line("\(name) is enabled.")
    }
}
