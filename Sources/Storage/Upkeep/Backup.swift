import Database
import Files
import Glibc

/// Whole copies of a database, made while it is in use.
public enum Backup {
    /// What a file that is to be restored turned out to be.
    public struct Checked: Sendable {
        /// The version of its shape, as migrations count.
        public let version: Int
        public let users: Int
        /// Accounts whose names differ in case alone: `Mia and mia`.
        public let clashes: [String]
    }

    /// Copies the database of a state directory to a new file that only we can read, and checks the copy.
    ///
    /// Everything that was answered before this began is in it.
    /// - Throws: ``StorageError``; then there is no file.
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

    /// Reads a copy through, every page and index.
    /// - Throws: ``StorageError``: `.corrupt`, or `.newer` when this Postern is too old for it.
    public static func check(_ path: String) throws -> Checked {
        let connection = try SQLiteConnection(path: path, mode: .readOnly)
        let verdict = try connection.first("PRAGMA integrity_check(1)") { try $0.text("integrity_check") }
        guard verdict == "ok" else {
            throw StorageError(.corrupt, "\(path) is damaged (\(verdict ?? "no answer")); use another backup")
        }
        let version = try connection.first("PRAGMA user_version") { try $0.integer("user_version") } ?? 0
        let newest = Migration.all.last?.number ?? 0
        guard version > 0 else { throw StorageError(.corrupt, "\(path) is no database of Postern's") }
        guard version <= newest else {
            throw StorageError(
                .newer,
                "\(path) is of version \(version) and this Postern knows versions up to \(newest); install a newer Postern first"
            )
        }
        let users = try connection.first("SELECT COUNT(*) AS users FROM users") { try $0.integer("users") } ?? 0
        let clashes = try connection.read { try User.clashes(in: $0) }
        return Checked(version: version, users: users, clashes: clashes)
    }

    /// Puts a checked copy in the place of the database, and the old files beside it. Nobody may serve meanwhile.
    /// - Returns: where the old database is now, if there was one.
    /// - Throws: ``StorageError``.
    public static func restore(_ path: String, stateDirectory: String, now: String) throws -> String? {
        let target = "\(stateDirectory)/\(Database.fileName)"
        let partial = target + ".restoring"
        unlink(partial)
        let kept: String?
        do {
            // VACUUM INTO once more: a whole new file on the right disk, whatever the backup lies on.
            try copy(path, partial)
            _ = try check(partial)
            try sync(partial)
            kept = try setAside(target, now: now)
            // One step: at every moment there is a whole database under the name.
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

    /// Gives the database a second name, after its log has gone into it: a log beside another database would be read as its own.
    private static func setAside(_ target: String, now: String) throws -> String? {
        guard access(target, F_OK) == 0 else { return nil }
        let beside = "\(target).before-restore-\(now)"
        var isWhole = true
        do {
            let connection = try SQLiteConnection(path: target, mode: .readWrite)
            try connection.run("PRAGMA wal_checkpoint(TRUNCATE)")
        } catch { isWhole = false }
        for suffix in ["-wal", "-shm"] where access(target + suffix, F_OK) == 0 {
            // Too damaged to take its log in: the log is kept beside it, for whoever wants to save something.
            guard isWhole ? unlink(target + suffix) == 0 : Glibc.rename(target + suffix, beside + suffix) == 0 else {
                throw StorageError(.failed, "cannot move \(target): \(String(cString: strerror(errno)))")
            }
        }
        guard link(target, beside) == 0 else {
            throw StorageError(.failed, "cannot keep \(target): \(String(cString: strerror(errno)))")
        }
        return beside
    }
}
