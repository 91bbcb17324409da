import FoundationEssentials
import Glibc
import Model

/// A child process that runs this same program.
final class PosternChildProcess {
    private let pid: pid_t
    /// The pipe with its output.
    private let output: CInt
    private var buffered: [UInt8] = []
    private var status: Int32?

    /// - Parameters:
    ///   - configHome: `XDG_CONFIG_HOME`, where client commands store credentials. Nil does not change the environment.
    /// - Throws: ``CommandFailure``.
    init(_ arguments: [String], configHome: String? = nil) throws {
        var pipes: [CInt] = [-1, -1]
        guard pipe(&pipes) == 0 else { throw Self.failure() }
        pipes.forEach { _ = fcntl($0, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // Its own process group: Ctrl-C in the terminal must not stop this child.
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("POSTERN_") }
        if let configHome { variables["XDG_CONFIG_HOME"] = configHome }
        var pid = pid_t()
        let number = Self.withPointers(["postern"] + arguments) { argv in
            Self.withPointers(variables.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv, environment)
            }
        }
        close(pipes[1])
        guard number == 0 else {
            close(pipes[0])
            errno = number
            throw Self.failure()
        }
        self.pid = pid
        self.output = pipes[0]
    }

    deinit { close(output) }

    /// The next line of its output. Nil at the end.
    func line() -> String? {
        while true {
            if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffered.removeFirst(end + 1) }
                return String(decoding: buffered[..<end], as: UTF8.self)
            }
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = read(output, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return nil }
            buffered += chunk[..<count]
        }
    }

    /// - Returns: its exit status. If a signal ended it, the status that a shell would report.
    @discardableResult
    func wait() -> Int32 {
        if let status { return status }
        var raw: Int32 = 0
        while waitpid(pid, &raw, 0) < 0 && errno == EINTR {}
        let code = raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + (raw & 0x7F)
        status = code
        return code
    }

    func stop() {
        guard status == nil else { return }
        kill(pid, SIGTERM)
        wait()
    }

    private static func failure() -> CommandFailure {
        CommandFailure("cannot start another process: \(String(cString: strerror(errno)).lowercased())")
    }

    /// C's array of strings, terminated by null.
    private static func withPointers<Success>(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Success
    ) -> Success {
        var pointers = texts.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        return body(&pointers)
    }
}
