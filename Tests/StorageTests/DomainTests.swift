import Database
import Model
import Storage
import Testing

@Suite struct DomainTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func add(_ name: String, by caller: Caller, at now: Timestamp) async throws -> Domain {
        let name = try DomainName(name, notBelow: [])
        return try await database.write { try Domain.add(name, by: caller, now: now, in: $0).domain }
    }

    private func check(_ domain: Domain, _ problem: String?, at now: Timestamp) async throws -> Domain {
        try await database.write {
            try domain.checked(problem: problem, now: now, in: $0.tenant(domain.organisationId))
        }
    }

    private func refusal(_ body: () async throws -> Void) async -> Refusal.Code? {
        do {
            try await body()
            return nil
        } catch { return (error as? Refusal)?.code }
    }

    @Test func aNameIsOfWhoeverProvedItAndStaysReserved() async throws {
        let (ana, ben) = (try await temporary.account("ana", now: now), try await temporary.account("ben", now: now))
        let first = try await add("app.example.org", by: ana, at: now)
        #expect(try await add("app.example.org", by: ana, at: now) == first && !first.isServed(now: now))
        let second = try await add("app.example.org", by: ben, at: now)
        #expect(first.proof != second.proof && first.proofName == "_postern-verify.app.example.org")
        #expect(try await check(second, nil, at: now).verifiedAt == now)
        #expect(await refusal { _ = try await check(first, nil, at: now) } == .domainTaken)
        try await database.write { try second.remove(now: now, in: $0.tenant(second.organisationId)) }
        let later = now.advanced(bySeconds: 89 * 86_400), free = now.advanced(bySeconds: 91 * 86_400)
        #expect(await refusal { _ = try await check(first, nil, at: later) } == .domainTaken)
        #expect(try await check(first, nil, at: free).verifiedAt == free)
    }

    @Test func aProofMayBeMissingForSevenDays() async throws {
        let ana = try await temporary.account("ana", now: now)
        var domain = try await check(try await add("app.example.org", by: ana, at: now), nil, at: now)
        let tunnel = try await database.write {
            try Tunnel.claim(
                .init(kind: .http, name: "demo", port: nil), by: ana, candidates: [], ports: nil, now: now, in: $0)
        }
        domain = try await database.write { [domain] in
            try domain.route(to: tunnel.id, in: $0.tenant(domain.organisationId))
        }
        #expect(domain.isServed(now: now))
        let lost = now.advanced(bySeconds: 86_400)
        domain = try await check(domain, "gone", at: lost)
        #expect(
            domain.missingSince == lost && domain.problem == "gone"
                && domain.isServed(now: lost.advanced(bySeconds: 6 * 86_400)))
        // A second look does not begin the time anew.
        domain = try await check(domain, "gone", at: lost.advanced(bySeconds: 6 * 86_400))
        #expect(!domain.isServed(now: lost.advanced(bySeconds: 7 * 86_400)))
        domain = try await check(domain, nil, at: lost.advanced(bySeconds: 8 * 86_400))
        #expect(domain.missingSince == nil && domain.verifiedAt == now && domain.isServed(now: free(lost)))
        let routed = try await database.read { try Domain.routed(in: $0) }
        #expect(routed.map(\.tunnelName) == ["demo"])
        #expect(try await database.read { try Domain.due(before: free(lost), limit: 9, in: $0) }.count == 1)
    }

    private func free(_ time: Timestamp) -> Timestamp { time.advanced(bySeconds: 30 * 86_400) }

    @Test func thePlanSaysHowMany() async throws {
        let free = try await temporary.account("free", .free, now: now)
        #expect(await refusal { _ = try await add("a.example.org", by: free, at: now) } == .domainLimit)
        let ana = try await temporary.account("ana", now: now)
        for number in 0..<3 { _ = try await add("a\(number).example.org", by: ana, at: now) }
        let listed = try await database.read { try Domain.list(in: $0.tenant(ana.user.id)) }
        #expect(listed.map(\.name) == ["a0.example.org", "a1.example.org", "a2.example.org"])
    }

    @Test(arguments: [
        "app", "a..b", "-a.b", "a-.b", "192.0.2.7", "a b.c", "*.example.org", "https://a.b", "ä.example.org", "",
        "a.t.test", "t.test", String(repeating: "a.", count: 130) + "b",
    ])
    func whatIsNoNameIsRefused(name: String) {
        #expect(throws: Refusal.self) { try DomainName(name, notBelow: ["t.test"]) }
    }

    @Test func aNameIsReadAsPeopleWriteIt() throws {
        #expect(try DomainName("App.Example.ORG.", notBelow: ["t.test"]).text == "app.example.org")
        #expect(try DomainName("xn--bcher-kva.example", notBelow: []).text == "xn--bcher-kva.example")
        #expect(try DomainName("at.test", notBelow: ["t.test"]).text == "at.test")
    }
}
