import ArgumentParser
import Database
import Model
import NIOCore
import Operations
import Storage
import Wire

/// `postern user list`
struct UserList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists accounts.",
        discussion: "Example: postern user list --json | jq -r .username")

    /// The number of accounts read at once, which limits memory use.
    private static let pageSize = 500

    private struct Listed: Encodable {
        let id, username, tier, createdAt: String
        let email: String?
        let isAdmin, isDisabled: Bool
    }

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withDatabase { database, _ in
            var last = ""
            while true {
                let after = last
                let page = try await AccountAdministration(database: database, actor: .command)
                    .list(after: after, limit: Self.pageSize)
                page.forEach { show($0, $1) }
                guard page.count == Self.pageSize, let end = page.last else { return }
                last = end.user.username
            }
        }
    }

    private func show(_ user: User, _ plan: Plan) {
        let made = user.createdAt.iso
        if json {
            let listed = Listed(
                id: user.id, username: user.username, tier: plan.rawValue, createdAt: made, email: user.email,
                isAdmin: user.isAdmin, isDisabled: user.disabledAt != nil)
            return Output.json(listed)
        }
        let state = user.disabledAt != nil ? "disabled" : user.isAdmin ? "administrator" : ""
        Output.line("\(user.username)\t\(plan.rawValue)\t\(state)\t\(made)")
    }
}
