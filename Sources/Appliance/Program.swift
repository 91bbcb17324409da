import FoundationEssentials
import Glibc
import Model

/// Runs another program until it ends.
enum Program {
    /// The interval between two checks whether it has ended.
    private static let pause = Duration.milliseconds(50)

    /// - Parameters:
    ///   - isQuiet: discards its output. Otherwise it goes to our standard error.
    ///   - timeout: in seconds. After that the program is killed.
    /// - Returns: its exit status. If a signal ended it, 128 plus the signal's number.
    /// - Throws: ``CommandFailure``.
    static func run(
        _ path: String, _ arguments: [String], isQuiet: Bool = false, timeout: Int = 120
    ) async throws -> Int32 {
        var pid = pid_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if isQuiet {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
            posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        } else {
            posix_spawn_file_actions_adddup2(&actions, 2, 1)
        }
        // Our settings may contain secrets, which the other program must not get.
        let variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("POSTERN_") }
        let number = withPointers([path] + arguments) { argv in
            withPointers(variables.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&pid, path, &actions, nil, argv, environment)
            }
        }
        guard number == 0 else { throw CommandFailure("\(path): \(String(cString: strerror(number)).lowercased())") }
        return try await wait(for: pid, path, timeout)
    }

    /// The maximum output that ``output(_:_:)`` reads, in bytes: a page of properties, or a few lines of a journal.
    private static let outputLimit = 256 << 10

    /// Runs a short program and waits for it.
    /// - Returns: its standard output. Nil if it cannot be run or fails.
    static func output(_ path: String, _ arguments: [String]) -> String? {
        var pid = pid_t()
        var pipes: [CInt] = [-1, -1]
        guard pipe(&pipes) == 0 else { return nil }
        for end in pipes { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(pipes[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let number = withPointers([path] + arguments) { argv in
            withPointers(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]) {
                posix_spawn(&pid, path, &actions, nil, argv, $0)
            }
        }
        close(pipes[1])
        guard number == 0 else { return nil }
        var collected: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(pipes[0], &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            collected += chunk[..<min(count, outputLimit - collected.count)]
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status == 0 ? String(decoding: collected, as: UTF8.self) : nil
    }

    private static func wait(for pid: pid_t, _ path: String, _ timeout: Int) async throws -> Int32 {
        let deadline = ContinuousClock.now + .seconds(timeout)
        var status: Int32 = 0
        while true {
            let ended = waitpid(pid, &status, WNOHANG)
            if ended == pid { return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F) }
            guard ContinuousClock.now < deadline, !Task.isCancelled else {
                kill(pid, SIGKILL)
                waitpid(pid, &status, 0)
                throw CommandFailure("\(path) did not end within \(timeout) s")
            }
            try? await Task.sleep(for: pause)
        }
    }

    private static func withPointers<Value>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Value
    ) -> Value {
        let pointers = strings.map { strdup($0) }
        defer { pointers.forEach { free($0) } }
        return body(pointers + [nil])
    }
}
