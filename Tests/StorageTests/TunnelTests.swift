import Database
import Model
import Storage
import Testing

@Suite struct TunnelTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)
    private let ports = 21000...21002

    init() throws { temporary = try TemporaryDatabase() }

    private func claim(
        _ caller: Caller, _ kind: TunnelKind = .http, name: String? = nil, port: Int? = nil,
        candidates: [String] = ["a-b-c"],
        after seconds: Int64 = 0
    ) async throws -> Tunnel {
        let (now, ports) = (self.now.advanced(bySeconds: seconds), self.ports)
        let request = Tunnel.Request(kind: kind, name: name, port: port)
        return try await database.write {
            try Tunnel.claim(request, by: caller, candidates: candidates, ports: ports, now: now, in: $0)
        }
    }

    private func release(_ tunnel: Tunnel, after seconds: Int64 = 0) async throws {
        let now = self.now.advanced(bySeconds: seconds)
        _ = try await database.write {
            try Tunnel.release(id: tunnel.id, now: now, in: $0.tenant(tunnel.organisationId))
        }
    }

    private func refusal(_ body: () async throws -> some Sendable) async -> Refusal.Code? {
        do {
            _ = try await body()
            return nil
        } catch { return (error as? Refusal)?.code }
    }

    @Test func aNameBelongsToWhoeverTookItFirstAndStaysTheirsFor90Days() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        let ben = try await temporary.account("ben", .enterprise, now: now)
        let tunnel = try await claim(ana, name: "demo")
        #expect(tunnel.isKept && tunnel.name == "demo")
        // Asked for again, it is the same one.
        #expect(try await claim(ana, name: "demo").id == tunnel.id)
        #expect(await refusal { try await claim(ben, name: "demo") } == .nameTaken)
        try await release(tunnel)
        #expect(await refusal { try await claim(ben, name: "demo", after: 89 * 86_400) } == .nameTaken)
        #expect(try await claim(ana, name: "demo", after: 89 * 86_400).id == tunnel.id)
        try await release(tunnel)
        let later = now.advanced(bySeconds: 90 * 86_400 + 1)
        _ = try await database.write { try History.clearAway(olderThan: 0, now: later, in: $0) }
        #expect(try await claim(ben, name: "demo").organisationId == ben.organisationId)
    }

    @Test func aNameThatNobodyChoseEndsWithItsCommandAndComesBackToItsOwner() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        let first = try await claim(ana)
        #expect(!first.isKept && first.name == "a-b-c")
        #expect(try await claim(ana, candidates: ["a-b-c", "d-e-f"]).name == "d-e-f")
        try await release(first, after: 10)
        #expect(try await claim(ana, candidates: ["g-h-i"], after: 20).id == first.id)
    }

    @Test func portsComeFromTheRangeAndAreUnique() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        var found: Set<Int> = []
        for _ in ports { found.insert(try #require(try await claim(ana, .tcp).port)) }
        #expect(found == Set(ports))
        #expect(await refusal { try await claim(ana, .tcp) } == .limit)
        #expect(await refusal { try await claim(ana, .tcp, port: 80) } == .notPossible)
    }

    @Test func thePlanSaysHowMany() async throws {
        let ana = try await temporary.account("ana", .free, now: now)
        for name in ["one", "two", "three"] { _ = try await claim(ana, name: name) }
        do {
            _ = try await claim(ana, name: "four")
            Issue.record("the fourth was allowed")
        } catch let refusal as Refusal {
            #expect(refusal.code == .tunnelLimit && refusal.limit == 3 && refusal.current == 3 && refusal.plan == .free)
        }
        #expect(try await claim(ana, name: "two").name == "two")
    }

    @Test(arguments: ["ab", "Demo", "a_b", "-demo", "demo-", "a.b", "démo", String(repeating: "a", count: 64), ""])
    func whatIsNoNameIsRefused(name: String) async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        #expect(await refusal { try await claim(ana, name: name) } == .invalid)
    }

    @Test(arguments: ["www", "admin", "postern", "xn--abc", "paypal", "my-pay-pal", "g00gle", "12345"])
    func aNameThatLooksLikeAnothersIsTaken(name: String) async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        #expect(await refusal { try await claim(ana, name: name) } == .nameTaken)
    }

    @Test func usageIsWrittenOnceHoweverOftenItIsSettled() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        let tunnel = try await claim(ana, name: "demo")
        let now = self.now
        for total in [
            TunnelUsage(requests: 2, bytes: 100, connections: 1), TunnelUsage(requests: 5, bytes: 150, connections: 1),
        ] {
            for _ in 0..<3 {
                try await database.write { try UsageLedger.settleTunnels([tunnel.id: total], now: now, in: $0) }
            }
        }
        let sums = try await database.read {
            try UsageLedger.sums(from: 0, to: .max >> 1, in: $0.tenant(ana.organisationId))
        }
        #expect(sums.first { $0.unit == .tunnelRequests }?.amount == 5)
        #expect(sums.first { $0.unit == .tunnelBytes }?.amount == 150)
        #expect(sums.first { $0.unit == .tunnelConnections }?.amount == 1)
    }

    @Test func anHourIsComparedWithTheWeekBeforeIt() {
        func week(_ hours: Int, _ requests: Int, _ errors: Int = 0) -> [TunnelHour] {
            (1000 - hours..<1000).map { TunnelHour(hour: $0, requests: requests, errors: errors) }
        }
        func unusual(_ requests: Int, _ errors: Int, _ week: [TunnelHour]) -> String? {
            TunnelHour.unusual(TunnelHour(hour: 1000, requests: requests, errors: errors), week: week)
        }
        // Too little is known, too little happens, or it is as always.
        #expect(unusual(10_000, 0, week(71, 100)) == nil && unusual(10_000, 0, []) == nil)
        #expect(unusual(99, 99, week(168, 10)) == nil && unusual(200, 10, week(168, 150, 10)) == nil)
        #expect(unusual(1000, 0, week(168, 400))?.contains("the busiest hour of the week before had 400") == true)
        #expect(unusual(10, 0, week(168, 400))?.contains("only 10 requests") == true)
        // An hour without requests belongs to this week: silence is nothing new.
        #expect(unusual(0, 0, Array(week(168, 400).dropLast(1).dropFirst(1)) + []) == nil)
        #expect(unusual(150, 30, week(168, 150, 3))?.hasPrefix("20 % of its 150 requests") == true)
        #expect(unusual(150, 17, week(168, 150, 3)) == nil)
    }

    @Test func unusualTunnelsAreReportedOnceADay() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        let tunnel = try await claim(ana, name: "demo")
        var total = TunnelUsage()
        for hour in 0..<80 {
            total.requests += hour < 79 ? 100 : 1000
            let (total, now) = (total, now.advanced(bySeconds: Int64(hour) * 3600))
            try await database.write { try UsageLedger.settleTunnels([tunnel.id: total], now: now, in: $0) }
        }
        func take(_ hour: Int64) async throws -> [String] {
            let now = now.advanced(bySeconds: hour * 3600)
            return try await database.write { try TunnelHour.takeUnusual(now: now, in: $0).map(\.sentence) }
        }
        #expect(try await take(79).isEmpty)
        #expect(try await take(80).count == 1)
        #expect(try await take(80).isEmpty)
    }

    @Test func whatNoCommandServesAnyMoreIsReleasedAndWhatWasChosenStays() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        let kept = try await claim(ana, name: "demo"), random = try await claim(ana)
        let now = self.now
        let gone = try await database.write {
            try Tunnel.releaseAbandoned(before: now.advanced(bySeconds: 1), now: now.advanced(bySeconds: 601), in: $0)
        }
        #expect(gone.map(\.id) == [random.id])
        let left = try await database.read { try Tunnel.list(ownedBy: nil, in: $0.tenant(ana.organisationId)) }
        #expect(left.map(\.id) == [kept.id])
    }

    @Test func whatAnAdministratorHasPausedStaysPausedWhenItIsRemovedAndTakenAgain() async throws {
        let ana = try await temporary.account("ana", .enterprise, now: now)
        let tunnel = try await claim(ana, name: "demo")
        try await database.write {
            try Tunnel.setBlocked(id: tunnel.id, true, in: $0.tenant(ana.organisationId))
        }
        try await release(tunnel)
        let again = try await claim(ana, name: "demo")
        #expect(again.isPaused && again.isBlocked)
    }
}
