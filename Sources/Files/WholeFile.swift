import Glibc

/// Files that are read and written whole: a reader finds all of what was written, or what was there before.
public enum WholeFile {
    public struct Failure: Error {
        /// errno
        public let number: CInt
        /// The system's words: `no such file or directory`.
        public var message: String { String(cString: strerror(number)).lowercased() }

        fileprivate init(_ number: CInt = errno) { self.number = number }
    }

    /// Read at once, in bytes.
    private static let chunkBytes = 16 << 10

    /// - Parameter limit: in bytes; a longer file is an error (`EFBIG`).
    public static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure() }
        defer { close(descriptor) }
        var found = stat()
        guard fstat(descriptor, &found) == 0 else { throw Failure() }
        // What its length says, and then until it ends: a pipe has none, and a file may grow meanwhile.
        let length = found.st_mode & S_IFMT == S_IFREG ? Int(found.st_size) : 0
        guard length <= limit else { throw Failure(EFBIG) }
        var (bytes, filled) = ([UInt8](repeating: 0, count: length + 1), 0)
        while true {
            if filled == bytes.count { bytes += repeatElement(0, count: chunkBytes) }
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Failure() }
            if count == 0 { break }
            filled += count
            guard filled <= limit else { throw Failure(EFBIG) }
        }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }

    /// Written beside, synced, then renamed: never half. Nothing is left where it fails. Whether the new name outlives a power
    /// cut is up to ``syncDirectory(of:)``.
    /// Readable by us alone from the first moment on.
    public static func write(_ bytes: some Sequence<UInt8>, to path: String) throws(Failure) {
        let partial = path + ".partial"
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure() }
        defer { close(descriptor) }
        do throws(Failure) {
            try fill(descriptor, Array(bytes))
            guard fsync(descriptor) == 0, rename(partial, path) == 0 else { throw Failure() }
        } catch {
            unlink(partial)
            throw error
        }
    }

    /// A name is on the disk when its directory is.
    public static func syncDirectory(of path: String) throws(Failure) {
        let end = path.lastIndex(of: "/")
        let directory = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure() }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Failure() }
    }

    private static func fill(_ descriptor: CInt, _ bytes: [UInt8]) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure() }
            rest = rest.dropFirst(count)
        }
    }
}
