import ArgumentParser
import Database
import Model
import NIOCore
import Operations
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
            let accounts = AccountAdministration(database: database, actor: .command)
            let user = try await accounts.find(name)
            if !yes { try Confirmation.ask("Remove \(user.username) with all tokens and sessions?") }
            try await accounts.remove(user)
        }
        Output.line("Removed \(name). Its connections end within a second.")
    }
}

/// `postern user set-plan`
struct UserSetPlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-plan", abstract: "Changes an account's plan.",
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
            try await AccountAdministration(database: database, actor: .command).setPlan(plan, of: name)
        }
        Output.line("\(name) is now on the plan \(plan.rawValue).")
    }
}

/// `postern user reset`
struct UserReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Ends an account's sign-ins and tokens; prints a new token and a link to set a new password.",
        discussion: "Example: postern user reset ana --json")

    private struct Reset: Encodable { let id, username, tier, token, resetLink: String }

    @Argument(help: "The account's name.")
    var name: String

    @Flag(help: "Also turn off the second factor, for a user who has lost their phone and recovery codes.")
    var secondFactor = false

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (name, turnsOff) = (self.name, secondFactor)
        let (made, link) = try await server.withDatabase { database, configuration in
            let (made, secret) = try await AccountAdministration(database: database, actor: .command)
                .reset(name, turnsSecondFactorOff: turnsOff)
            let base = PublicAddress.known(configuration)
            return (UserAdd.Made(made), "\(base)/reset/\(secret)")
        }
        if json {
            let whole = Reset(id: made.id, username: made.username, tier: made.tier, token: made.token, resetLink: link)
            return Output.json(whole)
        }
        Output.line("All sign-ins of \(name) are ended, and all older tokens revoked.\ntoken     \(made.token)")
        Output.line("password  \(link)\nThe link sets a new password, once and within an hour.")
    }
}
