import Database
import Glibc
import Storage

/// Held while a server uses a state directory: a second one would give away the first one's seats.
enum ServeLock {
    private static let name = "serve.lock"

    /// Takes the lock for the life of the process; the kernel gives it back, whatever ends us.
    /// - Throws: ``StorageError`` when another server has it.
    static func take(stateDirectory: String) throws {
        let path = "\(stateDirectory)/\(name)"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let remedy =
                errno == EROFS ? "; in the packaged service, 'sudo postern config apply' lets it write there" : ""
            throw StorageError(.unavailable, "cannot open \(path): \(String(cString: strerror(errno)))\(remedy)")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw StorageError(.unavailable, "another 'postern serve' uses \(stateDirectory); stop it first")
        }
    }

    /// Whether a server runs on this directory now.
    /// - Throws: ``StorageError`` when the directory cannot be read.
    static func isTaken(stateDirectory: String) throws -> Bool {
        let path = "\(stateDirectory)/\(name)"
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0 && errno == ENOENT { return false }
        guard descriptor >= 0 else {
            throw StorageError(.unavailable, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        // Closing gives the lock back at once.
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) != 0
    }
}
