import Glibc

/// A key of 32 random bytes in a file that only we can read.
public enum KeyFile {
    /// In bytes: AES-256, Ed25519 seeds and HMAC-SHA-256 keys are all of this size.
    public static let size = 32

    /// Reads a key, or makes it where there is none yet.
    /// - Throws: ``StorageError`` that names the file.
    public static func load(_ path: String) throws -> [UInt8] {
        if let key = try read(path) { return key }
        let key = random()
        try write(key, to: path)
        return key
    }

    static func random() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<size).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// Whole and on the disk before it gets its name: a key file that exists is complete.
    static func write(_ key: [UInt8], to path: String) throws {
        let partial = path + ".partial"
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("make", path) }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, key, size) == size, fsync(descriptor) == 0, rename(partial, path) == 0 else {
            throw failure("write", path)
        }
        try syncDirectory(of: path)
    }

    /// A name is on the disk when its directory is.
    static func syncDirectory(of path: String) throws {
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        let descriptor = open(directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("sync", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync", path) }
    }

    static func read(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 && errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw failure("read", path) }
        defer { close(descriptor) }
        // One byte more than a key: a longer file is no key either.
        var key = [UInt8](repeating: 0, count: size + 1)
        guard Glibc.read(descriptor, &key, size + 1) == size else {
            throw StorageError(.unavailable, "\(path) is damaged: it must hold \(size) bytes; restore it from a backup")
        }
        return Array(key.prefix(size))
    }

    private static func failure(_ what: String, _ path: String) -> StorageError {
        StorageError(.unavailable, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}
