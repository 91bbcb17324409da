import Glibc
import Storage

/// A database in a directory of its own, removed at the end.
final class TemporaryDatabase: Sendable {
    let directory: String
    let database: Database

    init() throws {
        directory = try Self.makeDirectory()
        database = try Database(stateDirectory: directory)
    }

    deinit {
        database.close()
        Self.remove(directory)
    }

    static func makeDirectory() throws -> String {
        var template = Array("/tmp/postern-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw StorageError(.unavailable, "no temporary directory") }
        return String(cString: made)
    }

    static func remove(_ directory: String) {
        for name in ["", "-wal", "-shm", ".version-1", ".version-1.partial"] {
            unlink("\(directory)/postern.db\(name)")
        }
        rmdir(directory)
    }
}
