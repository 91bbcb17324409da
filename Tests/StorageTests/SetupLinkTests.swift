import Database
import Model
import Testing

@testable import Storage

@Suite struct SetupLinkTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    @Test func aLinkWorksForThirtyMinutesAndOnce() async throws {
        let now = self.now
        try await database.write { connection in
            let link = try SetupLink.create(now: now, in: connection)
            let (last, over) = (now.advanced(bySeconds: 30 * 60 - 1), now.advanced(bySeconds: 30 * 60))
            #expect(try SetupLink.isGood(link.secret, now: last, in: connection))
            #expect(try !SetupLink.isGood(link.secret, now: over, in: connection))
            #expect(throws: Refusal.self) {
                try SetupLink.use(link.secret, username: "late", now: over, in: connection)
            }
            _ = try SetupLink.use(link.secret, username: "ana", now: last, in: connection)
            #expect(try !SetupLink.isGood(link.secret, now: last, in: connection))
        }
    }

    @Test func anotherLinkEndsTheFirst() async throws {
        let now = self.now
        try await database.write { connection in
            let first = try SetupLink.create(now: now, in: connection)
            let second = try SetupLink.create(now: now, in: connection)
            #expect(try !SetupLink.isGood(first.secret, now: now, in: connection))
            #expect(try SetupLink.isGood(second.secret, now: now, in: connection))
        }
    }
}
