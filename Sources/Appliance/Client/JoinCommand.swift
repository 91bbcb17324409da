import ArgumentParser
import Client
import Database
import Model
import TransportSecurity

/// `postern join`: joins another person's shared terminal.
struct JoinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Joins a shared terminal.",
        discussion: """
            Example: postern join 'https://box.example/j/SYCLX-7K2Q9M#…'
                     postern join SYCLX-7K2Q9M-cactus-violin
                     postern join --server https://box.example SYCLX 7K2Q9M cactus violin

            A link is complete: it works on a machine that was never signed in, and stores nothing there. A code with its \
            words is for the server that you are signed in to, or the one given with --server. Without an account the host \
            sees you as a guest without one; some organisations admit only guests with an account.

            Without a code it prompts for one, which keeps the words out of the process list. Ctrl-] opens a menu. \
            In a pipe it writes the host's output unchanged.
            """)

    @Argument(help: "The link, or the code with its words.")
    var invitation: [String] = []

    @Option(help: "The name that the host sees; defaults to your account's name.")
    var name = ""

    @Option(help: ArgumentHelp("The session's server, for a code with words.", valueName: "address"))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "The fingerprint of the server's certificate, as the host sees it; a link includes it.",
            valueName: "sha256:…"),
        transform: Fingerprint.argument)
    var fingerprint: Fingerprint?

    @Flag(
        help:
            "Programs in the session may set this terminal's clipboard (OSC 52), while your window has the host's size."
    )
    var clipboard = false

    func run() async throws {
        let invitation = try Join.Invitation(invitation.isEmpty ? Self.ask() : invitation.joined(separator: " "))
        let (address, token) = try Self.server(server ?? invitation.server)
        try await Join.run(
            invitation, address: address, token: token, name: name, fingerprint: fingerprint, takesClipboard: clipboard)
    }

    /// The server to join, with its token if there is one: a token is sent to no other server.
    private static func server(_ named: String?) throws -> (ServerAddress, token: String?) {
        guard let named else {
            guard let credentials = try Credentials.find() else {
                throw ClientError(
                    """
                    a code with words does not say which server it is for: ask the host for the link, add --server \
                    https://HOST, or run 'postern login https://HOST'
                    """)
            }
            return (try credentials.address(), credentials.token)
        }
        if let credentials = try Credentials.find(url: ServerAddress.completed(named)) {
            return (try credentials.address(), credentials.token)
        }
        return (try ServerAddress(ServerAddress.completed(named)), nil)
    }

    private static func ask() -> String {
        Output.write("Invitation: ", 2)
        return readLine() ?? ""
    }
}
