import ArgumentParser
import Database
import Model
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
        try await server.change(name, .accountDisabled) { try $0.disable(now: .now(), in: $1) }
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
        try await server.change(name, .accountEnabled) { try $0.enable(in: $1) }
        Output.line("\(name) is in use again.")
    }
}

extension ServerOptions {
    /// Does something to an account, and writes it into its audit log.
    fileprivate func change(
        _ name: String, _ action: AuditAction, _ body: @escaping @Sendable (User, Transaction) throws -> Void
    ) async throws {
        try await withDatabase { database, _ in
            try await database.write { connection in
                let user = try User.named(name, in: connection)
                try body(user, connection)
                try Audit.recordCommand(action, target: name, log: user.id, in: connection)
            }
        }
    }
}
