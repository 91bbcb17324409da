import Database
import Model
import Storage
import Testing

@Suite struct AuditTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    /// A log of ten events whose triggers somebody has taken away.
    private func log() async throws -> String {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        for number in 1...10 {
            try await database.write {
                try Audit.record(
                    .tokenCreated, target: "t\(number)", by: ana, now: now.advanced(bySeconds: Int64(number)),
                    in: $0.tenant(ana.user.id))
            }
        }
        return ana.user.id
    }

    private func problems(_ id: String) async throws -> [String] {
        try await database.read { try Audit.verify(in: $0.tenant(id)).problems }
    }

    @Test func aWholeLogIsWhole() async throws {
        let id = try await log()
        let verdict = try await database.read { try Audit.verify(in: $0.tenant(id)) }
        #expect(verdict.problems.isEmpty && verdict.count == 10 && verdict.head?.number == 10)
        #expect(try await database.read { try Audit.verify(in: $0.tenant("nobody")).problems }.isEmpty)
    }

    @Test func eventsCannotBeChangedOrRemovedInTheOrdinaryWay() async throws {
        _ = try await log()
        try temporary.tamper("UPDATE audit_events SET result = 'done'", isRefused: "append-only")
        try temporary.tamper("DELETE FROM audit_events", isRefused: "append-only")
    }

    @Test(arguments: [
        ("UPDATE audit_events SET target = 'x' WHERE number = 4", "event 4 was changed"),
        ("UPDATE audit_events SET at = at + 1 WHERE number = 1", "event 1 was changed"),
        ("UPDATE audit_events SET user_agent = 'x' WHERE number = 2", "event 2 was changed"),
        ("UPDATE audit_events SET digest = x'00' WHERE number = 5", "event 5 was changed"),
        ("DELETE FROM audit_events WHERE number = 6", "event 6 is missing"),
        ("DELETE FROM audit_events WHERE number BETWEEN 3 AND 5", "events 3 to 5 are missing"),
        ("DELETE FROM audit_events WHERE number = 1 AND organisation_id <> 'appliance'", "event 1 is missing"),
        ("DELETE FROM audit_events WHERE number > 8", "events 9 to 10 are missing at the end"),
        ("DELETE FROM audit_events WHERE organisation_id <> 'appliance'", "events 1 to 10 are missing at the end"),
        (
            """
            UPDATE audit_events SET number = 99 WHERE number = 3; UPDATE audit_events SET number = 3 WHERE number = 4;
            UPDATE audit_events SET number = 4 WHERE number = 99
            """, "event 3 was changed"
        ),
        (
            """
            INSERT INTO audit_events SELECT organisation_id, 11, at, actor_id, actor_name, action, target, address,
            credential, result, detail, digest, user_agent FROM audit_events WHERE number = 10
            """, "event 11 was changed, moved or inserted"
        ),
        ("UPDATE audit_chains SET number = 9", "the head was not signed"),
        ("DELETE FROM audit_chains", "the signed head is missing"),
    ])
    func whatSomebodyDidToTheFileIsFound(sql: String, expected: String) async throws {
        let id = try await log()
        try temporary.dropTriggers()
        try temporary.tamper(sql)
        let found = try await problems(id)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test func aHeadPutBackToAnOlderSignedOneIsFoundByItsEvents() async throws {
        let id = try await log()
        try temporary.dropTriggers()
        try temporary.tamper("CREATE TABLE kept AS SELECT * FROM audit_chains")
        let now = self.now
        try await database.write {
            try Audit.record(
                .refused, target: "x", actor: Audit.Actor(id: "", name: "m", credential: "", address: ""), now: now,
                in: $0.tenant(id))
        }
        try temporary.tamper("DELETE FROM audit_chains; INSERT INTO audit_chains SELECT * FROM kept")
        #expect(
            try await problems(id).contains { $0.contains("were added without the audit key") || $0.contains("event") })
    }

    /// Somebody rewrites the chain and waits for the next event to sign it.
    @Test func aForgedChainIsNotMadeGoodByTheNextEvent() async throws {
        for sql in [
            "UPDATE audit_chains SET number = 9; DELETE FROM audit_events WHERE number = 10",
            "DELETE FROM audit_chains; DELETE FROM audit_events WHERE organisation_id <> 'appliance'",
            "DELETE FROM audit_chains",
        ] {
            let fresh = try AuditTests()
            let id = try await fresh.log()
            try fresh.temporary.dropTriggers()
            try fresh.temporary.tamper(sql)
            let now = self.now
            try await fresh.database.write {
                try Audit.record(
                    .refused, target: "x", actor: Audit.Actor(id: "", name: "m", credential: "", address: ""), now: now,
                    in: $0.tenant(id))
            }
            #expect(try await !fresh.problems(id).isEmpty, "\(sql)")
        }
    }

    @Test func aLogThatWasRemovedOrCutBackDoesNotFitItsAnchors() async throws {
        let id = try await log()
        try temporary.tamper("CREATE TABLE kept AS SELECT * FROM audit_chains WHERE organisation_id <> 'appliance'")
        let (ana, now) = (Caller.command(as: try await database.read { try User.named("ana", in: $0) }), self.now)
        try await database.write {
            try Audit.record(.tokenRevoked, target: "t", by: ana, now: now, in: $0.tenant(id))
            try Audit.anchorAll(now: now, in: $0)
        }
        #expect(try await problems(id).isEmpty)
        try temporary.dropTriggers()
        // Back to the head that was signed before.
        try temporary.tamper(
            """
            DELETE FROM audit_chains WHERE organisation_id <> 'appliance'; INSERT INTO audit_chains SELECT * FROM kept;
            DELETE FROM audit_events WHERE number = 11 AND organisation_id <> 'appliance'
            """)
        #expect(
            try await problems(id).contains {
                $0.contains("event 11, which is recorded in the server's log, is missing")
            })
        try temporary.tamper(
            """
            DELETE FROM audit_chains WHERE organisation_id <> 'appliance';
            DELETE FROM audit_events WHERE organisation_id <> 'appliance'
            """)
        #expect(try await database.read { try Audit.logs(in: $0) }.contains(id))
        #expect(try await !problems(id).isEmpty)
    }

    @Test func filtersAndPagesFindWhatIsThere() async throws {
        let id = try await log()
        func numbers(_ filter: Audit.Filter, limit: Int = 3) async throws -> [Int] {
            try await database.read { try Audit.list(filter, limit: limit, in: $0.tenant(id)) }.map(\.number)
        }
        #expect(try await numbers(.init()) == [10, 9, 8])
        #expect(try await numbers(.init(before: 8)) == [7, 6, 5])
        #expect(try await numbers(.init(actor: "ana", action: "token", result: "done")) == [10, 9, 8])
        #expect(try await numbers(.init(action: "token.created"), limit: 1) == [10])
        #expect(try await numbers(.init(action: "member")).isEmpty)
        #expect(try await numbers(.init(actor: "ben")).isEmpty)
        let newest = try await database.read { try Audit.list(limit: 1, in: $0.tenant(id)) }.first
        let target = try #require(newest?.target)
        #expect(try await numbers(.init(target: target)).contains(10))
        #expect(try await numbers(.init(target: "\(target)x")).isEmpty)
    }

    /// What a program called itself is kept, and is part of what the event vouches for.
    @Test func theUserAgentIsKept() async throws {
        let id = try await log()
        let now = self.now
        try await database.write {
            try Audit.record(
                .refused, target: "x",
                actor: Audit.Actor(id: "", name: "m", credential: "", address: "", userAgent: "curl/7.88"), now: now,
                in: $0.tenant(id))
        }
        #expect(try await database.read { try Audit.list(limit: 1, in: $0.tenant(id)) }.first?.userAgent == "curl/7.88")
        #expect(try await problems(id).isEmpty)
        try temporary.dropTriggers()
        try temporary.tamper("UPDATE audit_events SET user_agent = '' WHERE number = 11")
        #expect(try await problems(id).contains { $0.contains("event 11 was changed") })
    }
}
