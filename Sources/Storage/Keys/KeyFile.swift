import Database
import Files
import Glibc

/// A key of 32 random bytes in a file that only we can read.
public enum KeyFile {
    /// The size in bytes: AES-256, Ed25519 seeds and HMAC-SHA-256 keys all have this size.
    public static let size = 32

    /// Reads a key, or creates it if there is none yet.
    /// - Throws: ``StorageError`` that names the file.
    public static func load(_ path: String) throws -> [UInt8] {
        if let key = try read(path) { return key }
        let key = random()
        do { if try WholeFile.create(key, at: path) { try syncDirectory(of: path) } } catch let error
            as WholeFile.Failure
        {
            throw failure("write", path, error)
        }
        // Another process may have created the file first. Its key is used.
        guard let stored = try read(path) else {
            throw StorageError(.unavailable, "\(path) was removed while it was created; start again")
        }
        return stored
    }

    static func random() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<size).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// Syncs the directory: without this, a new or renamed file may be lost in a power failure.
    static func syncDirectory(of path: String) throws {
        do { try WholeFile.syncDirectory(of: path) } catch { throw failure("sync", path, error) }
    }

    static func read(_ path: String) throws -> [UInt8]? {
        let damaged = StorageError(
            .unavailable, "\(path) is damaged: it must hold \(size) bytes; restore it from a backup")
        do {
            let key = try WholeFile.read(path, limit: size)
            guard key.count == size else { throw damaged }
            return key
        } catch let error as WholeFile.Failure {
            if error.number == ENOENT { return nil }
            throw error.number == EFBIG ? damaged : failure("read", path, error)
        }
    }

    private static func failure(_ what: String, _ path: String, _ error: WholeFile.Failure) -> StorageError {
        StorageError(.unavailable, "cannot \(what) \(path): \(error.message)")
    }
}
