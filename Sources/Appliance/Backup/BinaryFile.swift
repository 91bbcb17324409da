import Glibc

/// Files of bytes, read and written whole.
enum BinaryFile {
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", path) }
        defer { close(descriptor) }
        var found = Glibc.stat()
        guard fstat(descriptor, &found) == 0 else { throw failure("read", path) }
        guard found.st_size <= limit else { throw CommandFailure("\(path) is larger than \(limit >> 20) MiB") }
        var bytes = [UInt8](repeating: 0, count: Int(found.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure("read", path) }
            filled += count
        }
        return bytes
    }

    /// Written beside, synced, then renamed; readable by us alone.
    static func write(_ bytes: [UInt8], to path: String) throws {
        let partial = path + ".partial"
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("write", path) }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("write", path)
                unlink(partial)
                throw error
            }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0, rename(partial, path) == 0 else { throw failure("write", path) }
    }

    private static func failure(_ what: String, _ path: String) -> CommandFailure {
        let reason = String(cString: strerror(errno)).lowercased()
        return CommandFailure("cannot \(what) \(path): \(reason)\(errno == ENOSPC ? "; free space there" : "")")
    }
}
