import ArgumentParser
import Client
import Database
import TransportSecurity

/// `postern join`: somebody else's shared terminal.
struct JoinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Joins a shared terminal.",
        discussion: """
            Example: postern join SYCLX-7K2Q9M-cactus-violin
                     postern join 'https://box.example/j/SYCLX-7K2Q9M#…'

            With no code it asks for one, so that the words stay out of the list of processes. Ctrl-] opens a menu.
            In a pipe it writes the host's output as it is.
            """)

    @Argument(help: "The code with its words, or the link.")
    var invitation: String?

    @Option(help: "What the host sees of you; your account's name if there is none.")
    var name = ""

    @Option(
        help: ArgumentHelp("The server's certificate, as the host sees it; a link carries it.", valueName: "sha256:…"),
        transform: Fingerprint.argument)
    var fingerprint: Fingerprint?

    func run() async throws {
        let text = invitation ?? Self.ask()
        try Join.check(text)
        let credentials = try Credentials.load()
        try await Join.run(
            invitation: text, address: try credentials.address(), token: credentials.token, name: name,
            fingerprint: fingerprint)
    }

    private static func ask() -> String {
        Output.write("Invitation: ", 2)
        return readLine() ?? ""
    }
}
