import CSQLite
import Database
import Glibc
import Model
import Storage
import TestSupport
import Testing

@Suite struct DatabaseTests {
    @Test func writesOfManyCallersAreAllThereAndInOrderOfTheirAnswers() async throws {
        let temporary = try TemporaryDatabase()
        let database = temporary.database
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<500 {
                group.addTask {
                    let name = "user\(number)"
                    let made = try await database.write {
                        try User.create(username: name, plan: .free, isAdmin: false, now: .now(), in: $0)
                    }
                    // What was answered is seen by every read that begins afterwards.
                    #expect(try await database.read { try User.find(id: made.id, in: $0) } == made)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func aSecondProcessesDatabaseSeesAndWritesTheSameFile() async throws {
        let temporary = try TemporaryDatabase()
        let other = try Database(stateDirectory: temporary.directory)
        defer { other.close() }
        let made = try await other.write {
            try User.create(username: "ana", plan: .free, isAdmin: true, now: .now(), in: $0)
        }
        #expect(try await temporary.database.read { try User.find(id: made.id, in: $0) } == made)
    }

    @Test func afterClosingEverythingIsRefusedWithAReason() async throws {
        let temporary = try TemporaryDatabase()
        temporary.database.close()
        await #expect(throws: StorageError.self) { try await temporary.database.read { try $0.check() } }
        await #expect(throws: StorageError.self) { try await temporary.database.write { try $0.check() } }
    }

    /// A thread that is joined twice is another thread the second time: the process hung or died, once in some dozen runs.
    @Test func closingManyTimesAtOnceWaitsForTheSameEnd() async throws {
        for _ in 0..<20 {
            let temporary = try TemporaryDatabase()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { temporary.database.close() } }
            }
            // Takes the numbers of the threads that have gone.
            let other = try TemporaryDatabase()
            temporary.database.close()
            try await other.database.write { try $0.check() }
        }
    }

    @Test func aNewerDatabaseIsRefusedAndUntouched() async throws {
        let directory = try TemporaryDirectory.make()
        defer { TemporaryDirectory.remove(directory) }
        try Database(stateDirectory: directory).close()
        var handle: OpaquePointer?
        #expect(sqlite3_open(directory + "/postern.db", &handle) == SQLITE_OK)
        sqlite3_exec(handle, "PRAGMA user_version = 99", nil, nil, nil)
        sqlite3_close(handle)
        do {
            try Database(stateDirectory: directory).close()
            Issue.record("a newer database was opened")
        } catch let error as StorageError {
            #expect(error.code == .newer && error.message.contains("install a newer Postern"))
        }
    }

    @Test func somethingThatIsNoDatabaseIsRefused() throws {
        let directory = try TemporaryDirectory.make()
        defer { TemporaryDirectory.remove(directory) }
        let file = fopen(directory + "/postern.db", "w")
        fputs(String(repeating: "not a database, ", count: 100), file)
        fclose(file)
        #expect(throws: StorageError.self) { try Database(stateDirectory: directory) }
    }

    @Test func identifiersSortByTimeAndAreUUIDs() {
        let early = Identifier.make(now: Timestamp(milliseconds: 1000))
        let late = Identifier.make(now: Timestamp(milliseconds: 2000))
        #expect(early < late && early.count == 36)
        #expect(Array(early)[14] == "7" && "89ab".contains(Array(early)[19]))
        #expect(Set((0..<1000).map { _ in Identifier.make(now: Timestamp(milliseconds: 1000)) }).count == 1000)
    }
}
