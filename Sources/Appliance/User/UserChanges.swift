import ArgumentParser
import NIOCore
import Storage
import Wire

/// `postern user remove`
struct UserRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Removes an account with its tokens and sessions.",
        discussion: "Example: postern user remove ana --yes")

    @Argument(help: "The account's name.")
    var name: String

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let name = self.name
        try await server.withDatabase { database, _ in
            let user = try await database.read { try User.named(name, in: $0) }
            if !yes { try Confirmation.ask("Remove \(user.username) with all tokens and sessions?") }
            try await database.write { try user.remove(in: $0) }
        }
        Output.line("Removed \(name). Connections that stand go on until they end; a restart of the server ends them.")
    }
}

/// `postern user set-plan`
struct UserSetPlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-plan", abstract: "Changes what an account may use.",
        discussion: "Example: postern user set-plan ana team")

    @Argument(help: "The account's name.")
    var name: String

    @Argument(help: "free, pro, team, enterprise or admin.")
    var plan: String

    @OptionGroup var server: ServerOptions

    func validate() throws { _ = try Plan.argument(plan) }

    func run() async throws {
        let plan = try Plan.argument(self.plan)
        let name = self.name
        try await server.withDatabase { database, _ in
            try await database.write { try User.named(name, in: $0).setPlan(plan, in: $0) }
        }
        Output.line("\(name) is on the plan \(plan.rawValue) from now on.")
    }
}

/// `postern user reset`
struct UserReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Revokes all of an account's tokens and prints a new one.",
        discussion: "Example: postern user reset ana --json")

    @Argument(help: "The account's name.")
    var name: String

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let name = self.name
        let made = try await server.withDatabase { database, _ in
            try await database.write { connection in
                let user = try User.named(name, in: connection)
                try APIToken.revokeAll(userId: user.id, now: .now(), in: connection)
                let token = try APIToken.create(name: "reset", userId: user.id, now: .now(), in: connection)
                return UserAdd.Made(id: user.id, username: user.username, tier: user.tier, token: token.secret)
            }
        }
        if json { return Output.line(String(buffer: JSONText.encode(made))) }
        Output.line("All older tokens of \(name) are revoked.\ntoken     \(made.token)")
    }
}
