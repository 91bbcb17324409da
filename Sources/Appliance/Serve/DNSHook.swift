import CertificateAuthorities
import FoundationEssentials
import Glibc
import Model

/// The owner's own program puts proofs into DNS: `HOOK present|remove NAME VALUE`. It returns when the record can be looked up.
struct DNSHook: NameProver {
    /// Providers' records take a minute to be seen everywhere. In seconds.
    private static let timeout = 180
    /// Between two looks at whether it has ended.
    private static let pause = Duration.milliseconds(50)

    let path: String

    func present(name: String, value: String) async throws {
        let status = try await run(["present", name, value])
        guard status == 0 else { throw CommandFailure("\(path) present \(name) failed with status \(status)") }
    }

    func remove(name: String, value: String) async {
        // A record that is left behind harms nobody; the hook's own output says what is wrong.
        _ = try? await run(["remove", name, value])
    }

    private func run(_ arguments: [String]) async throws -> Int32 {
        var pid = pid_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // What it says goes into our log.
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        // Our settings may hold secrets, which are not the hook's.
        let variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("POSTERN_") }
        let number = Self.withPointers([path] + arguments) { argv in
            Self.withPointers(variables.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&pid, path, &actions, nil, argv, environment)
            }
        }
        guard number == 0 else { throw CommandFailure("\(path): \(String(cString: strerror(number)).lowercased())") }
        return try await wait(for: pid)
    }

    private func wait(for pid: pid_t) async throws -> Int32 {
        let deadline = ContinuousClock.now + .seconds(Self.timeout)
        var status: Int32 = 0
        while true {
            let ended = waitpid(pid, &status, WNOHANG)
            if ended == pid { return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F) }
            guard ContinuousClock.now < deadline, !Task.isCancelled else {
                kill(pid, SIGKILL)
                waitpid(pid, &status, 0)
                throw CommandFailure("\(path) did not end within \(Self.timeout) s")
            }
            try? await Task.sleep(for: Self.pause)
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
