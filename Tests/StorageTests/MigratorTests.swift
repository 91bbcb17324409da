import Glibc
import Testing

@testable import Storage

@Suite struct MigratorTests {
    private static let second = Migration(
        number: 3, script: "CREATE TABLE second (id TEXT PRIMARY KEY NOT NULL) STRICT;")
    private static let broken = Migration(
        number: 3, script: "CREATE TABLE half (id TEXT PRIMARY KEY NOT NULL) STRICT; CREATE TABLE nonsense nonsense;")

    private func withDatabase(_ body: (String) throws -> Void) throws {
        let directory = try TemporaryDatabase.makeDirectory()
        defer { TemporaryDatabase.remove(directory) }
        try Database(stateDirectory: directory).close()
        try body(directory + "/postern.db")
    }

    @Test func aMigrationLeavesASnapshotOfWhatWasBefore() throws {
        try withDatabase { path in
            try Migrator(path: path, migrations: Migration.all + [Self.second]).run()
            let snapshot = try SQLiteConnection(path: path + ".version-2", mode: .readOnly)
            #expect(try snapshot.first("PRAGMA user_version") { try $0.integer("user_version") } == 2)
            let now = try SQLiteConnection(path: path, mode: .readOnly)
            #expect(try now.first("SELECT COUNT(*) AS n FROM second") { try $0.integer("n") } == 0)
        }
    }

    @Test func aMigrationThatFailsChangesNothing() throws {
        try withDatabase { path in
            #expect(throws: StorageError.self) {
                try Migrator(path: path, migrations: Migration.all + [Self.broken]).run()
            }
            let connection = try SQLiteConnection(path: path, mode: .readOnly)
            #expect(try connection.first("PRAGMA user_version") { try $0.integer("user_version") } == 2)
            #expect(
                try connection.first("SELECT name FROM sqlite_master WHERE name = 'half'") { try $0.text("name") }
                    == nil)
        }
    }
}
