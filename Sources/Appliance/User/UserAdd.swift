import ArgumentParser
import Database
import Model
import NIOCore
import Operations
import Storage
import TransportSecurity
import Web
import Wire

/// `postern user add`
struct UserAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Creates an account; prints its API token and a link to set a password.",
        discussion: "Example: postern user add ana --plan pro --state /var/lib/postern --json")

    private struct Added: Encodable { let id, username, tier, token, passwordLink: String }

    struct Made: Encodable {
        let id, username, tier, token: String

        init(_ made: AccountAdministration.Made) {
            id = made.user.id
            username = made.user.username
            tier = made.plan.rawValue
            token = made.token.secret
        }
    }

    @Argument(help: "The account's name: letters, digits, '.', '-' and '_', at most 64.")
    var name: String

    @Flag(help: "Make the account an administrator of this server.")
    var admin = false

    @Option(help: ArgumentHelp("free, pro, team, enterprise or admin.", valueName: "plan"))
    var plan: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard AccountRules.isUsername(name) else {
            throw ValidationError("'\(name)' is not an account name: \(AccountRules.usernameRule).")
        }
        _ = try plan.map(Plan.argument)
    }

    func run() async throws {
        let plan = try self.plan.map(Plan.argument)
        let (name, admin) = (self.name, self.admin)
        let (made, link, login) = try await server.withDatabase(makes: true) { database, configuration in
            let (made, secret) = try await AccountAdministration(database: database, actor: .command)
                .add(name: name, plan: plan, isAdmin: admin)
            return (Made(made), "\(PublicAddress.known(configuration))/reset/\(secret)", Self.login(configuration))
        }
        if json {
            let whole = Added(
                id: made.id, username: made.username, tier: made.tier, token: made.token, passwordLink: link)
            return Output.json(whole)
        }
        Output.line("id        \(made.id)\nusername  \(made.username)\ntier      \(made.tier)\ntoken     \(made.token)")
        Output.line("The token is shown only now. On the user's machine, this command asks for it:\n  \(login)")
        Output.line(
            "For the web pages, this link sets a password, once and within an hour ('postern user reset' prints another):\n  \(link)"
        )
    }

    /// The complete command, with the fingerprint of a self-signed certificate.
    private static func login(_ configuration: Configuration) -> String {
        let certificate = ServedCertificates.read(stateDirectory: configuration.stateDirectory)?.certificates.first
        let pin = certificate.flatMap { $0.isSelfSigned ? " --fingerprint \($0.fingerprint)" : nil } ?? ""
        return "postern login \(PublicAddress.known(configuration))\(pin)"
    }
}

extension Plan {
    /// - Throws: `ValidationError` that names the plans.
    static func argument(_ text: String) throws -> Plan {
        if let plan = Plan(rawValue: text) { return plan }
        throw ValidationError("'\(text)' is not a plan: use \(allCases.map(\.rawValue).joined(separator: ", ")).")
    }
}
