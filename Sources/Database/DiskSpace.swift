import Glibc

/// The free space on the disk that contains a directory, in bytes.
public struct DiskSpace: Sendable, Equatable {
    public let freeBytes: Int
    public let totalBytes: Int

    /// Nil if the system does not report it.
    public init?(of directory: String) {
        var found = statvfs()
        guard statvfs(directory, &found) == 0 else { return nil }
        freeBytes = Int(clamping: found.f_bavail) * Int(clamping: found.f_frsize)
        totalBytes = Int(clamping: found.f_blocks) * Int(clamping: found.f_frsize)
    }
}

/// Refuses writes before the disk is full: on a full disk, SQLite can only fail.
struct DiskReserve: Sendable {
    let directory: String
    /// Free space below which writes are refused, in bytes; 0 never refuses.
    let bytes: Int

    /// - Throws: ``StorageError`` `.full`.
    func check() throws {
        guard bytes > 0, let space = DiskSpace(of: directory), space.freeBytes < bytes else { return }
        throw StorageError(
            .full,
            "only \(space.freeBytes >> 20) MiB are free on the disk that holds \(directory); free at least "
                + "\(max(1, (bytes - space.freeBytes) >> 20)) MiB (old backups, journals), or lower disk-reserve-mib")
    }
}
