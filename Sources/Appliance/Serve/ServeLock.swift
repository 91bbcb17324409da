import Database
import Glibc
import Storage

/// Held while a server uses a state directory: a second server would release the first one's seats.
enum ServeLock {
    private static let name = "serve.lock"

    /// Takes the lock for the lifetime of the process. The kernel releases it, however the process ends.
    /// - Throws: ``StorageError`` if another server holds it.
    static func take(stateDirectory: String) throws {
        let path = "\(stateDirectory)/\(name)"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let remedy =
                errno == EROFS
                ? "; for the packaged service, run 'sudo postern config apply' to allow writing there" : ""
            throw StorageError(.unavailable, "cannot open \(path): \(String(cString: strerror(errno)))\(remedy)")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw StorageError(.unavailable, "another 'postern serve' uses \(stateDirectory); stop it first")
        }
    }

    /// Whether a server is running on this directory.
    /// - Throws: ``StorageError`` if the directory cannot be read.
    static func isTaken(stateDirectory: String) throws -> Bool {
        let path = "\(stateDirectory)/\(name)"
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0 && errno == ENOENT { return false }
        guard descriptor >= 0 else {
            throw StorageError(.unavailable, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        // Closing releases the lock at once.
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) != 0
    }
}
