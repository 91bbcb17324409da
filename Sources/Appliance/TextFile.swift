import Glibc

/// Small files, read and written whole.
enum TextFile {
    struct Failure: Error {
        /// errno
        let number: CInt
        var message: String { String(cString: strerror(number)).lowercased() }
    }

    /// - Parameter limit: in bytes; a longer file is an error.
    static func read(_ path: String, limit: Int) -> Result<String, Failure> {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .failure(Failure(number: errno)) }
        defer { close(descriptor) }
        var collected: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return .failure(Failure(number: errno)) }
            if count == 0 { return .success(String(decoding: collected, as: UTF8.self)) }
            collected += chunk[..<count]
            guard collected.count <= limit else { return .failure(Failure(number: EFBIG)) }
        }
    }

    /// Written to a temporary file, synced, then renamed: never half.
    /// - Parameter mode: permissions from the first moment on.
    static func write(_ text: String, to path: String, mode: mode_t = 0o600) -> Result<Void, Failure> {
        let partial = path + ".partial"
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { return .failure(Failure(number: errno)) }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return .failure(Failure(number: errno)) }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0, rename(partial, path) == 0 else { return .failure(Failure(number: errno)) }
        return .success(())
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
