import ArgumentParser
import Client

/// `postern share`: runs a command in a terminal that others can join.
struct ShareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share", abstract: "Shares a shell, or a command, with people you invite.",
        discussion: """
            Example: postern share
                     postern share --read-only -- htop
                     postern share --json --lossless -- make

            Prints one code for people who may type and one for people who only watch. Ctrl-] opens a menu: list guests, \
            remove one, end sharing. The exit status is the command's.
            """)

    /// The maximum length of a title, in bytes of UTF-8.
    private static let nameLimit = 256

    @Option(help: "A title that guests see; the server does not.")
    var name = ""

    @Flag(help: "Do not create a code that allows typing.")
    var readOnly = false

    @Flag(help: "Ask before admitting a guest.")
    var approve = false

    @Flag(help: "Make the command wait for the slowest guest, so that no output is lost.")
    var lossless = false

    @Flag(help: "Print one JSON object per line, and nothing else, on standard output.")
    var json = false

    @Argument(parsing: .postTerminator, help: "The command to share, after '--'; defaults to your shell.")
    var command: [String] = []

    func validate() throws {
        if name.utf8.count > Self.nameLimit {
            throw ValidationError("--name must be at most \(Self.nameLimit) bytes long.")
        }
    }

    func run() async throws {
        let credentials = try Credentials.load()
        let address = try credentials.address()
        var options = ShareOptions(command: command.isEmpty ? [environment("SHELL") ?? "/bin/sh"] : command)
        options.title = name
        options.readOnly = readOnly
        options.approve = approve
        options.lossless = lossless
        options.json = json
        let status = try await Share.run(options, address: address, token: credentials.token)
        throw ExitCode(status)
    }
}
