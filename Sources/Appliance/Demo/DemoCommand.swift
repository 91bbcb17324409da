import ArgumentParser
import CPlatform
import Client
import Database
import Glibc
import Model
import TransportSecurity

/// `postern demo`: a temporary server, account and share, for trying them out.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Shares a shell on this machine with itself, to try Postern; leaves nothing behind.",
        discussion: """
            Example: postern demo
                     postern demo -- htop

            Starts a server on this machine's loopback with a database of its own, and shares your shell (or a command) through \
            it. Join from a second terminal with the line that it prints. When the shell ends, everything is removed.
            """)

    @Argument(parsing: .postTerminator, help: "The command to share, after '--'; defaults to your shell.")
    var command: [String] = []

    func run() async throws {
        guard postern_is_terminal(0) == 1 && postern_is_terminal(1) == 1 else {
            throw CommandFailure(
                "a demo needs a terminal; in a script use 'postern serve' and 'postern share --json'", status: 2)
        }
        // If the process ended here, it would leave files behind. Once there is a share, the share handles these signals itself.
        // Ctrl-\ still works, for a start that hangs.
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
        let stage = try DemoStage()
        let status = try await stage.play(command)
        throw ExitCode(status)
    }
}

/// Everything that a demo creates and removes again.
private struct DemoStage {
    private let directory: String
    private var state: String { "\(directory)/state" }

    init() throws {
        var template = Array("\(environment("TMPDIR") ?? "/tmp")/postern-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw CommandFailure(
                "cannot create a directory for the demo: \(String(cString: strerror(errno)).lowercased())")
        }
        directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// - Returns: the shared command's exit status.
    func play(_ command: [String]) async throws -> Int32 {
        defer { DemoStage.remove(directory) }
        let server = try PosternChildProcess(
            [
                "serve", "--config", "/dev/null", "--state", state, "--https", "127.0.0.1:0", "--http", "off",
                "--log-level", "error",
            ]
        )
        defer { server.stop() }
        guard let url = server.line()?.split(separator: " ").last.map(String.init), url.hasPrefix("https://") else {
            throw CommandFailure("the demo's server did not start; 'postern serve --state DIRECTORY' shows why")
        }
        let pin = server.line().flatMap { line in line.split(separator: " ").first { $0.hasPrefix("sha256:") } } ?? ""
        let guest = "\(directory)/guest"
        try signIn("guest", url, String(pin), configuration: guest)
        let token = try signIn("host", url, String(pin), configuration: "\(directory)/host")
        var options = ShareOptions(command: command.isEmpty ? [environment("SHELL") ?? "/bin/sh"] : command)
        options.foreword = [
            "A server with only this session is running on \(url). In a second terminal type",
            "  export XDG_CONFIG_HOME=\(guest)",
            "and then one of these lines. When the shell ends, everything is removed.", "",
        ]
        let address = try ServerAddress(url, pin: Fingerprint(String(pin)))
        return try await Share.run(options, address: address, token: token)
    }

    /// Creates an account on the demo's server, and stores its credentials for the client commands.
    /// - Returns: its token.
    @discardableResult
    private func signIn(_ name: String, _ url: String, _ pin: String, configuration: String) throws -> String {
        let file = "\(directory)/\(name).token"
        let added = try PosternChildProcess(["user", "add", name, "--config", "/dev/null", "--state", state])
        var token: String?
        while token == nil, let line = added.line() {
            if line.hasPrefix("token ") { token = line.split(separator: " ").last.map(String.init) }
        }
        guard added.wait() == 0, let token, case .success = TextFile.write(token, to: file) else {
            throw CommandFailure("the demo's account cannot be created")
        }
        let login = try PosternChildProcess(
            ["login", url, "--fingerprint", pin, "--token-file", file], configHome: configuration)
        guard login.wait() == 0 else { throw CommandFailure("cannot sign in to the demo's server") }
        return token
    }

    /// Removes a directory that we created, with its contents.
    private static func remove(_ path: String) {
        if let list = opendir(path) {
            while let entry = readdir(list) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                var found = Glibc.stat()
                guard lstat("\(path)/\(name)", &found) == 0 else { continue }
                if found.st_mode & S_IFMT == S_IFDIR { remove("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
            }
            closedir(list)
        }
        rmdir(path)
    }
}
