import ArgumentParser
import CPlatform
import Client
import Database
import Glibc
import Model
import TransportSecurity
import Wire

/// `postern login`: stores a server's address and a token for the other commands.
struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Signs in to a server with an API token.",
        discussion: """
            Example: postern login https://box.example
                     postern login https://192.0.2.7 --fingerprint sha256:… --token-file token.txt

            A certificate that no trusted authority has signed is identified by its fingerprint: 'postern cert status' prints it \
            on the server. In a terminal you are asked to confirm it; otherwise give --fingerprint.

            The token is read without echo, or from a file, or from standard input in a pipe. It is stored \
            in $XDG_CONFIG_HOME/postern (or ~/.config/postern), readable only by you. POSTERN_URL and POSTERN_TOKEN in \
            the environment take precedence.
            """)

    /// The maximum length of a token in bytes: the longest the server accepts.
    private static let tokenLimit = 2048

    @Argument(help: "The server's address, as in https://box.example.")
    var url: String

    @Option(help: ArgumentHelp("A file that holds the token; '-' is standard input.", valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp("The fingerprint of the server's certificate; no other is accepted.", valueName: "sha256:…"),
        transform: Fingerprint.argument)
    var fingerprint: Fingerprint?

    func run() async throws {
        var address = try ServerAddress(ServerAddress.completed(url), pin: fingerprint)
        if address.isSecure && address.pin == nil { address.pin = try await Self.pin(of: address) }
        let token = try readToken()
        let user = try await APIClient(address: address, token: token).me()
        try Credentials(
            url: address.description, token: token, fingerprint: address.pin?.description
        ).save()
        Output.line("Signed in to \(address) as \(user.username) (\(user.tier)).")
    }

    /// Nil if the system trusts the certificate. Otherwise the fingerprint that the person has confirmed, before the token is sent.
    static func pin(of address: ServerAddress) async throws -> Fingerprint? {
        guard let shown = try await APIClient(address: address, token: "").untrustedFingerprint() else { return nil }
        guard postern_is_terminal(0) == 1 else {
            throw ClientError(
                """
                no trusted authority was found for the certificate of \(address). If 'postern cert status' on the server prints
                  \(shown)
                run this again with --fingerprint \(shown)
                """)
        }
        Output.write(
            """
            No trusted authority was found for the certificate of \(address). Its fingerprint is
              \(shown)
            Is that what 'postern cert status' prints on the server? Type yes (or y) to trust it from now on: 
            """, 2)
        guard ["yes", "y"].contains(readLine()?.lowercased()) else {
            throw ClientError("not trusted; nothing was sent")
        }
        return shown
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
        Output.write("API token (not shown): ", 2)
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

extension Fingerprint {
    /// Parses the value of a command's option.
    static func argument(_ text: String) throws -> Fingerprint {
        if let fingerprint = Fingerprint(text) { return fingerprint }
        throw ValidationError("'\(text)' is not a fingerprint; expected sha256: followed by 64 hexadecimal digits.")
    }
}
