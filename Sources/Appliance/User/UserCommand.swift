import ArgumentParser
import NIOCore
import Storage
import Wire

/// `postern user …`: accounts, straight in the database; works while the server runs.
struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Manages accounts.",
        discussion: "Example: postern user add ana --state /var/lib/postern", subcommands: [Add.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an account and prints its API token, which is shown this once.",
            discussion: "Example: postern user add ana --plan pro --state /var/lib/postern --json")

        private struct Made: Encodable {
            let id, username, tier, token: String
        }

        @Argument(help: "The account's name: letters, digits, '.', '-' and '_', at most 64.")
        var name: String

        @Flag(help: "The account administers this server.")
        var admin = false

        @Option(help: ArgumentHelp("free, pro, team, enterprise or admin.", valueName: "plan"))
        var plan: String?

        @Option(help: "The server's state directory.")
        var state: String

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            let allowed = name.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || $0.properties.numericType != nil
                        || ".-_".unicodeScalars.contains($0))
            }
            guard allowed, (1...64).contains(name.count) else {
                throw ValidationError(
                    "'\(name)' is no account name: use letters, digits, '.', '-' and '_', at most 64.")
            }
            if let plan, Plan(rawValue: plan) == nil {
                throw ValidationError(
                    "'\(plan)' is no plan: use \(Plan.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
        }

        func run() async throws {
            let database = try Database(stateDirectory: state)
            defer { database.close() }
            let plan = self.plan.flatMap(Plan.init) ?? (admin ? .admin : .default)
            let (name, admin) = (self.name, self.admin)
            let made = try await database.write { connection in
                let user = try User.create(username: name, plan: plan, isAdmin: admin, now: .now(), in: connection)
                let token = try APIToken.create(name: "first", userId: user.id, now: .now(), in: connection)
                return Made(id: user.id, username: user.username, tier: user.tier, token: token.secret)
            }
            if json { return Output.line(String(buffer: JSONText.encode(made))) }
            Output.line(
                "id        \(made.id)\nusername  \(made.username)\ntier      \(made.tier)\ntoken     \(made.token)")
            Output.line("The token is shown only now. Use it with: postern login URL")
        }
    }
}
