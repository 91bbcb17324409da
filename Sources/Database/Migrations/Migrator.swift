import Glibc

/// One migration of the database schema. It is never edited after it has shipped.
package struct Migration: Sendable {
    /// 1, 2, 3, …: the `user_version` of the database after the migration.
    package let number: Int
    package let script: StaticString

    package init(number: Int, script: StaticString) {
        self.number = number
        self.script = script
    }
}

/// Brings a database file up to this binary's version: each migration in one transaction, a snapshot before the first.
package struct Migrator {
    private let path: String
    private let migrations: [Migration]

    /// - Parameter migrations: in their order, numbered from 1.
    package init(path: String, migrations: [Migration]) {
        self.path = path
        self.migrations = migrations
    }

    private var newest: Int { migrations.last?.number ?? 0 }

    /// - Throws: ``StorageError``; `.newer` if a newer version of Postern wrote the file.
    package func run() throws {
        let connection = try SQLiteConnection(path: path, mode: .readWrite)
        let found = try version(of: connection)
        guard found <= newest else {
            throw StorageError(
                .newer,
                "the database has version \(found) but this Postern supports versions up to \(newest); "
                    + "install a newer Postern, or start with the snapshot \(snapshotPath(newest)) in place of \(path)")
        }
        if found == newest { return }
        if found > 0 { try snapshot(connection, version: found) }
        for migration in migrations where migration.number > found { try apply(migration, on: connection) }
    }

    private func apply(_ migration: Migration, on connection: SQLiteConnection) throws {
        try connection.run("BEGIN IMMEDIATE")
        do {
            // Another process may have migrated between the first check and this lock.
            if try version(of: connection) < migration.number {
                try connection.script(migration.script)
                try connection.setVersion(migration.number)
            }
            try connection.run("COMMIT")
        } catch {
            // A failed ROLLBACK means that SQLite already rolled back; the first error is the one to report.
            _ = try? connection.run("ROLLBACK")
            throw error
        }
    }

    private func version(of connection: SQLiteConnection) throws -> Int {
        try connection.first("PRAGMA user_version") { try $0.integer("user_version") } ?? 0
    }

    private func snapshotPath(_ version: Int) -> String { "\(path).version-\(version)" }

    /// Writes a complete copy under a temporary name, then renames it: an existing snapshot is always complete.
    private func snapshot(_ connection: SQLiteConnection, version: Int) throws {
        let target = snapshotPath(version)
        let partial = target + ".partial"
        unlink(partial)
        let mask = umask(0o077)
        defer { umask(mask) }
        try connection.run("VACUUM INTO ?", partial)
        guard rename(partial, target) == 0 else {
            throw StorageError(.failed, "cannot rename \(partial): \(String(cString: strerror(errno)))")
        }
    }
}
