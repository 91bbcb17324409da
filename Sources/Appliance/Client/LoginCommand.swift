import ArgumentParser
import CPlatform
import Client
import Glibc
import Wire

/// `postern login`: keeps a server's address and one's token for the other commands.
struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Signs in to a server with an API token.",
        discussion: """
            Example: postern login http://127.0.0.1:8080
                     postern login http://127.0.0.1:8080 --token-file token.txt

            The token is asked for without echo, or read from a file, or from standard input in a pipe. It is stored
            in $XDG_CONFIG_HOME/postern (or ~/.config/postern), readable by you alone. POSTERN_URL and POSTERN_TOKEN in
            the environment win over it.
            """)

    /// A token, in bytes: the longest the server accepts.
    private static let tokenLimit = 2048

    @Argument(help: "The server's address, as in http://127.0.0.1:8080.")
    var url: String

    @Option(help: ArgumentHelp("A file that holds the token; '-' is standard input.", valueName: "file"))
    var tokenFile: String?

    func run() async throws {
        let address = try ServerAddress(url)
        let token = try readToken()
        let user = try await APIClient(address: address, token: token).me()
        try Credentials(url: address.description, token: token).save()
        Output.line("Signed in to \(address) as \(user.username) (\(user.tier)).")
    }

    private func readToken() throws -> String {
        let bytes: [UInt8]
        if let tokenFile, tokenFile != "-" {
            let descriptor = open(tokenFile, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw ClientError("cannot read \(tokenFile): \(String(cString: strerror(errno)))")
            }
            defer { close(descriptor) }
            bytes = Self.read(descriptor)
        } else if tokenFile == nil && postern_is_terminal(0) == 1 {
            bytes = try Self.ask()
        } else {
            bytes = Self.read(0)
        }
        let token = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard !token.isEmpty else { throw ClientError("there is no token; 'postern user add' prints one") }
        return token
    }

    private static func ask() throws -> [UInt8] {
        Output.write("API token (not shown): ", to: 2)
        var line = [CChar](repeating: 0, count: tokenLimit)
        let count = postern_read_secret(0, &line, line.count)
        Output.error("")
        guard count >= 0 else { throw ClientError(errno == EINTR ? "interrupted" : "the token could not be read") }
        return line.prefix(count).map { UInt8(bitPattern: $0) }
    }

    private static func read(_ descriptor: CInt) -> [UInt8] {
        var collected: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: tokenLimit)
        while collected.count < tokenLimit {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            collected += chunk[..<count]
        }
        return collected
    }
}
