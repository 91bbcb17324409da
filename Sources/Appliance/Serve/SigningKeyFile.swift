import Glibc
import Storage

/// The key that signs access tokens: 32 random bytes in a file of the state directory that only we can read.
enum SigningKeyFile {
    private static let name = "access-token.key"
    private static let size = 32

    /// Reads the key, or makes it on the first start.
    /// - Throws: ``StorageError`` that names the file.
    static func load(stateDirectory: String) throws -> [UInt8] {
        let path = "\(stateDirectory)/\(name)"
        if let key = try read(path) { return key }
        let partial = path + ".partial"
        var generator = SystemRandomNumberGenerator()
        let key = (0..<size).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("make", path) }
        defer { close(descriptor) }
        // Whole and on the disk before it gets its name: a key file that exists is complete.
        guard write(descriptor, key, size) == size, fsync(descriptor) == 0, rename(partial, path) == 0 else {
            throw failure("write", path)
        }
        return key
    }

    private static func read(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 && errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw failure("read", path) }
        defer { close(descriptor) }
        var key = [UInt8](repeating: 0, count: size)
        guard Glibc.read(descriptor, &key, size) == size else {
            throw StorageError(.unavailable, "\(path) is damaged; remove it, and everybody signs in again")
        }
        return key
    }

    private static func failure(_ what: String, _ path: String) -> StorageError {
        StorageError(.unavailable, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}
