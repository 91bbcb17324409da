import ArgumentParser
import NIOCore
import Storage
import Wire

/// `postern user list`
struct UserList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists accounts.",
        discussion: "Example: postern user list --json | jq -r .username")

    /// Accounts read at once: memory stays small however many there are.
    private static let pageSize = 500

    private struct Listed: Encodable {
        let id, username, tier, createdAt: String
        let isAdmin: Bool
    }

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withDatabase { database, _ in
            var last = ""
            while true {
                let after = last
                let page = try await database.read { try User.list(after: after, limit: Self.pageSize, in: $0) }
                page.forEach(show)
                guard page.count == Self.pageSize, let end = page.last else { return }
                last = end.username
            }
        }
    }

    private func show(_ user: User) {
        let made = ISOTime.text(milliseconds: user.createdAt.milliseconds)
        if json {
            let listed = Listed(
                id: user.id, username: user.username, tier: user.tier, createdAt: made, isAdmin: user.isAdmin)
            return Output.line(String(buffer: JSONText.encode(listed)))
        }
        Output.line("\(user.username)\t\(user.tier)\t\(user.isAdmin ? "administrator" : "")\t\(made)")
    }
}
