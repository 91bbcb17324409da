import Glibc

/// Reads and writes whole files: a reader finds either all of the new contents or all of the old ones.
public enum WholeFile {
    public struct Failure: Error {
        /// errno; `EINVAL` if ``isNotFile``.
        public let number: CInt
        /// Whether the path is a pipe or a socket.
        public let isNotFile: Bool
        /// The system's message: `no such file or directory`.
        public var message: String {
            isNotFile ? "not a regular file (a pipe or a socket)" : String(cString: strerror(number)).lowercased()
        }

        fileprivate init(_ number: CInt = errno) {
            self.number = number
            isNotFile = false
        }

        fileprivate static let notFile = Failure(notFile: EINVAL)

        private init(notFile number: CInt) {
            self.number = number
            isNotFile = true
        }
    }

    /// Bytes that are read at once.
    private static let chunkBytes = 16 << 10

    /// - Parameters:
    ///   - limit: in bytes; a longer file is an error (`EFBIG`).
    ///   - allowsPipe: also reads a pipe to its end, which may never come. For paths that a person gives on a command
    ///     line.
    public static func read(_ path: String, limit: Int, allowsPipe: Bool = false) throws(Failure) -> [UInt8] {
        // Opening a pipe without a writer blocks until there is one, unless O_NONBLOCK is set.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (allowsPipe ? 0 : O_NONBLOCK))
        guard descriptor >= 0 else { throw Failure() }
        defer { close(descriptor) }
        var found = stat()
        guard fstat(descriptor, &found) == 0 else { throw Failure() }
        // A device such as /dev/null has an end, or is cut at the limit.
        guard allowsPipe || ![S_IFIFO, S_IFSOCK].contains(found.st_mode & S_IFMT) else { throw Failure.notFile }
        // Reads the reported length, and then to the end: a pipe has no length, and a file may grow meanwhile.
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

    /// Replaces a file: writes a new file in the same directory, syncs it and renames it. Concurrent writers of one
    /// path do not disturb each other; the last rename wins. A failed write leaves nothing behind. Only the owner can
    /// read the file.
    ///
    /// Call ``syncDirectory(of:)`` if the new name must survive a power failure.
    public static func write(_ bytes: some Sequence<UInt8>, to path: String) throws(Failure) {
        try withPartial(bytes, beside: path) { partial throws(Failure) in
            guard rename(partial, path) == 0 else { throw Failure() }
        }
    }

    /// Creates a file that does not exist yet, completely or not at all.
    /// - Returns: false if a file with this name exists already; it is not changed.
    public static func create(_ bytes: some Sequence<UInt8>, at path: String) throws(Failure) -> Bool {
        var created = true
        try withPartial(bytes, beside: path) { partial throws(Failure) in
            // Unlike rename, link never replaces a file.
            if link(partial, path) != 0 {
                guard errno == EEXIST else { throw Failure() }
                created = false
            }
        }
        return created
    }

    /// Writes and syncs a file with a name of its own in the directory of `path`, and removes that name after `publish`.
    private static func withPartial(
        _ bytes: some Sequence<UInt8>, beside path: String, publish: (String) throws(Failure) -> Void
    ) throws(Failure) {
        removeAbandoned(beside: path)
        let partial = "\(path).\(String(UInt64.random(in: .min ... .max), radix: 16))\(partialSuffix)"
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure() }
        // After a rename, this name no longer exists.
        defer {
            close(descriptor)
            unlink(partial)
        }
        try fill(descriptor, Array(bytes))
        guard fsync(descriptor) == 0 else { throw Failure() }
        try publish(partial)
    }

    private static let partialSuffix = ".partial"
    /// After this many seconds for one file, a writer counts as no longer running.
    private static let abandonedAfter = 3600

    /// Removes the files of writers that were killed.
    private static func removeAbandoned(beside path: String) {
        let end = path.lastIndex(of: "/")
        let directory = end.map { path[...$0] } ?? "./"
        let prefix = path[(end.map(path.index(after:)) ?? path.startIndex)...] + "."
        guard let listing = opendir(String(directory)) else { return }
        defer { closedir(listing) }
        let oldest = time(nil) - abandonedAfter
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(entry.pointee.d_reclen)) { String(cString: $0) }
            }
            guard name.hasPrefix(prefix), name.hasSuffix(partialSuffix) else { continue }
            var found = stat()
            if stat(directory + name, &found) == 0, found.st_mtim.tv_sec < oldest { unlink(directory + name) }
        }
    }

    /// Syncs the directory: without this, a new or renamed file may be lost in a power failure.
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
