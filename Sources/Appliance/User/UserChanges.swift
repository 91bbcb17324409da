import ArgumentParser
import Database
import Model
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
            try await database.write {
                try user.remove(in: $0)
                try Audit.recordCommand(.accountRemoved, target: name, in: $0)
            }
        }
        Output.line("Removed \(name). Its connections end within a second.")
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
            try await database.write { connection in
                let found = try User.named(name, in: connection).personalOrganisation(in: connection)
                try found.setPlan(plan, by: .command, now: .now(), in: connection)
            }
        }
        Output.line("\(name) is on the plan \(plan.rawValue) from now on.")
    }
}

/// `postern user reset`
struct UserReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Ends all of an account's sign-ins and tokens, prints a new token and a link for a new password.",
        discussion: "Example: postern user reset ana --json")

    private struct Reset: Encodable { let id, username, tier, token, resetLink: String }

    @Argument(help: "The account's name.")
    var name: String

    @Flag(help: "Also turn the second factor off, for somebody who has lost phone and recovery codes.")
    var secondFactor = false

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (name, turnsOff) = (self.name, secondFactor)
        let (made, link) = try await server.withDatabase { database, configuration in
            let (made, secret) = try await database.write { connection in
                let user = try User.named(name, in: connection)
                try APIToken.revokeAll(userId: user.id, now: .now(), in: connection)
                let token = try APIToken.create(name: "reset", userId: user.id, now: .now(), in: connection)
                if turnsOff {
                    try SecondFactor.turnOff(userId: user.id, in: connection)
                    try Audit.recordCommand(.secondFactorOff, target: name, log: user.id, in: connection)
                }
                try SignIn.endAll(userId: user.id, except: nil, .everywhere, now: .now(), in: connection)
                let secret = try OneTimeLink.create(.resetPassword, userId: user.id, now: .now(), in: connection)
                try Audit.recordCommand(.passwordReset, target: name, detail: "link", log: user.id, in: connection)
                return (UserAdd.Made(user, token, try user.personalOrganisation(in: connection)), secret)
            }
            let base = PublicAddress.known(configuration)
            return (made, "\(base)/reset/\(secret)")
        }
        if json {
            let whole = Reset(id: made.id, username: made.username, tier: made.tier, token: made.token, resetLink: link)
            return Output.json(whole)
        }
        Output.line("All sign-ins of \(name) are ended, and all older tokens revoked.\ntoken     \(made.token)")
        Output.line("password  \(link)\nThe link sets a new password, once and within an hour.")
    }
}
