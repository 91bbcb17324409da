import Database
import Glibc
import TestSupport
import Testing

@testable import Storage

@Suite struct MigratorTests {
    private static let newest = Migration.all.count
    private static let second = Migration(
        number: newest + 1, script: "CREATE TABLE second (id TEXT PRIMARY KEY NOT NULL) STRICT;")
    private static let broken = Migration(
        number: newest + 1,
        script: "CREATE TABLE half (id TEXT PRIMARY KEY NOT NULL) STRICT; CREATE TABLE nonsense nonsense;")

    private func withDatabase(_ body: (String) throws -> Void) throws {
        let directory = try TemporaryDirectory.make()
        defer { TemporaryDirectory.remove(directory) }
        try Database(stateDirectory: directory).close()
        try body(directory + "/postern.db")
    }

    /// Features number their migrations over all of them: none is missing, and none is there twice.
    @Test func migrationsAreNumberedInOneRow() { #expect(Migration.all.map(\.number) == Array(1...Self.newest)) }

    @Test func aMigrationLeavesASnapshotOfWhatWasBefore() throws {
        try withDatabase { path in
            try Migrator(path: path, migrations: Migration.all + [Self.second]).run()
            let snapshot = try SQLiteConnection(path: path + ".version-\(Self.newest)", mode: .readOnly)
            #expect(try snapshot.first("PRAGMA user_version") { try $0.integer("user_version") } == Self.newest)
            let now = try SQLiteConnection(path: path, mode: .readOnly)
            #expect(try now.first("SELECT COUNT(*) AS n FROM second") { try $0.integer("n") } == 0)
        }
    }

    /// What version 0.2 left behind: everybody keeps plan, tokens and sessions, in an organisation of his own.
    @Test func accountsOfBeforeGetTheirOrganisations() async throws {
        let directory = try TemporaryDirectory.make()
        defer { TemporaryDirectory.remove(directory) }
        do {
            let path = directory + "/postern.db"
            try Migrator(path: path, migrations: [.firstTables, .applianceTables]).run()
            let old = try SQLiteConnection(path: path, mode: .readWrite)
            try old.script(
                """
                INSERT INTO users VALUES ('u1', 'ana', NULL, 'pro', 1, 1), ('u2', 'ben', NULL, 'free', 0, 2);
                INSERT INTO api_tokens VALUES ('t1', 'u1', 'laptop', x'01', 1, NULL);
                INSERT INTO share_sessions (id, host_user_id, host_public_key, started_at) VALUES ('s1', 'u1', 'k', 5);
                INSERT INTO share_codes (code, session_id, permission, current_uses, created_at)
                    VALUES ('C', 's1', 'read', 0, 6);
                """)
        }
        let database = try Database(stateDirectory: directory)
        defer { database.close() }
        try await database.read { connection in
            for (name, plan) in [("ana", Plan.pro), ("ben", .free)] {
                let user = try User.named(name, in: connection)
                let own = try user.personalOrganisation(in: connection)
                #expect(own.plan == plan && own.personalOf == user.id && own.slug == name)
                let member = try Caller.command(as: user).member(may: .tenantDelete, in: connection)
                #expect(member.role.isOwner)
            }
            let sessions = try ShareSession.active(ownedBy: "u1", in: connection.tenant("u1"))
            #expect(sessions.map(\.id) == ["s1"])
            #expect(try ShareCode.list(sessionId: "s1", in: connection.tenant("u1")).map(\.code) == ["C"])
            #expect(try APIToken.list(userId: "u1", in: connection).map(\.organisationId) == ["u1"])
        }
    }

    @Test func aMigrationThatFailsChangesNothing() throws {
        try withDatabase { path in
            #expect(throws: StorageError.self) {
                try Migrator(path: path, migrations: Migration.all + [Self.broken]).run()
            }
            let connection = try SQLiteConnection(path: path, mode: .readOnly)
            #expect(try connection.first("PRAGMA user_version") { try $0.integer("user_version") } == Self.newest)
            #expect(
                try connection.first("SELECT name FROM sqlite_master WHERE name = 'half'") { try $0.text("name") }
                    == nil)
        }
    }
}
