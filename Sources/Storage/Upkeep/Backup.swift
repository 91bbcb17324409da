import Database
import Files
import Glibc

/// Complete copies of a database, made while it is in use.
public enum Backup {
    /// The result of checking a file before it is restored.
    public struct Checked: Sendable {
        /// The version of its schema, as counted by migrations.
        public let version: Int
        public let users: Int
        /// Accounts whose names differ only in case: `Mia and mia`.
        public let clashes: [String]
    }

    /// Copies the database of a state directory to a new file that only we can read, and checks the copy.
    ///
    /// The copy contains everything that was committed before this began.
    /// - Throws: ``StorageError``. Then no file is left.
    public static func make(stateDirectory: String, to path: String) throws {
        let source = "\(stateDirectory)/\(Database.fileName)"
        guard access(source, F_OK) == 0 else {
            throw StorageError(.unavailable, "there is no database in \(stateDirectory); is --state right?")
        }
        guard access(path, F_OK) != 0 else {
            throw StorageError(.unavailable, "\(path) exists; choose another name")
        }
        let partial = path + ".partial"
        unlink(partial)
        do {
            try copy(source, partial)
            _ = try check(partial)
            try sync(partial)
            try rename(partial, to: path)
        } catch {
            unlink(partial)
            throw error
        }
    }

    private static func rename(_ partial: String, to path: String) throws {
        guard Glibc.rename(partial, path) == 0 else {
            throw StorageError(.failed, "cannot rename \(partial): \(String(cString: strerror(errno)))")
        }
    }

    private static func copy(_ source: String, _ target: String) throws {
        let mask = umask(0o077)
        defer { umask(mask) }
        let connection = try SQLiteConnection(path: source, mode: .readOnly)
        try connection.run("VACUUM INTO ?", target)
    }

    private static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw StorageError(.failed, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        guard fchmod(descriptor, 0o600) == 0, fsync(descriptor) == 0 else {
            throw StorageError(.failed, "cannot sync \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Verifies a copy: every page and every index.
    /// - Throws: ``StorageError``: `.corrupt`, or `.newer` if this Postern is too old for it.
    public static func check(_ path: String) throws -> Checked {
        let connection = try SQLiteConnection(path: path, mode: .readOnly)
        let verdict = try connection.first("PRAGMA integrity_check(1)") { try $0.text("integrity_check") }
        guard verdict == "ok" else {
            throw StorageError(.corrupt, "\(path) is damaged (\(verdict ?? "no answer")); use another backup")
        }
        let version = try connection.first("PRAGMA user_version") { try $0.integer("user_version") } ?? 0
        let newest = Migration.all.last?.number ?? 0
        guard version > 0 else { throw StorageError(.corrupt, "\(path) is not a Postern database") }
        guard version <= newest else {
            throw StorageError(
                .newer,
                "\(path) has version \(version) but this Postern supports versions up to \(newest); install a newer Postern first"
            )
        }
        let users = try connection.first("SELECT COUNT(*) AS users FROM users") { try $0.integer("users") } ?? 0
        let clashes = try connection.read { try User.clashes(in: $0) }
        return Checked(version: version, users: users, clashes: clashes)
    }

    /// Replaces the database with a checked copy, and keeps the old files next to it. No server may run meanwhile.
    /// - Returns: the path of the old database, if there was one.
    /// - Throws: ``StorageError``.
    public static func restore(_ path: String, stateDirectory: String, now: String) throws -> String? {
        let target = "\(stateDirectory)/\(Database.fileName)"
        let partial = target + ".restoring"
        unlink(partial)
        let kept: String?
        do {
            // Run VACUUM INTO again: it creates a complete new file on the right disk, wherever the backup is stored.
            try copy(path, partial)
            _ = try check(partial)
            try sync(partial)
            kept = try setAside(target, now: now)
            // An atomic rename: at every moment there is a complete database with this name.
            try rename(partial, to: target)
        } catch {
            unlink(partial)
            throw error
        }
        do { try WholeFile.syncDirectory(of: target) } catch {
            throw StorageError(.failed, "cannot sync \(stateDirectory): \(error.message)")
        }
        return kept
    }

    /// Gives the database a second name, after its log was merged into it: a log next to another database would be read as part of it.
    private static func setAside(_ target: String, now: String) throws -> String? {
        guard access(target, F_OK) == 0 else { return nil }
        let beside = "\(target).before-restore-\(now)"
        var isWhole = true
        do {
            let connection = try SQLiteConnection(path: target, mode: .readWrite)
            try connection.run("PRAGMA wal_checkpoint(TRUNCATE)")
        } catch { isWhole = false }
        for suffix in ["-wal", "-shm"] where access(target + suffix, F_OK) == 0 {
            // The database is too damaged to merge its log. The log is kept next to it, so that data can be recovered.
            guard isWhole ? unlink(target + suffix) == 0 : Glibc.rename(target + suffix, beside + suffix) == 0 else {
                throw StorageError(.failed, "cannot move \(target): \(String(cString: strerror(errno)))")
            }
        }
        guard link(target, beside) == 0 else {
            throw StorageError(.failed, "cannot save \(target): \(String(cString: strerror(errno)))")
        }
        return beside
    }
}
