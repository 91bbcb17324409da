import Database
import Model
import Storage
import Testing

@Suite struct MachineTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func key(_ number: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    private func enrolment(_ number: Int, name: String? = nil) -> Machine.Enrolment {
        Machine.Enrolment(
            name: name, hostName: "box", fingerprint: key(number), allows: [.tunnels], software: "postern 1",
            platform: "linux amd64")
    }

    @discardableResult
    private func enrol(_ number: Int, by caller: Caller, name: String? = nil) async throws -> Machine {
        let (enrolment, now) = (enrolment(number, name: name), self.now)
        return try await database.write { try Machine.enrol(enrolment, by: caller, now: now, in: $0) }
    }

    @discardableResult
    private func connect(
        _ number: Int, link: String = "one", after seconds: Int64 = 0
    ) async throws -> (Machine, Caller) {
        let (key, now) = (key(number), self.now.advanced(bySeconds: seconds))
        return try await database.write {
            try Machine.connect(
                key: key, link: link, from: "192.0.2.1", software: "postern 1", now: now, in: $0)
        }
    }

    private func disconnect(
        _ machine: Machine, link: String = "one", isFinal: Bool, other: String? = nil, after seconds: Int64 = 0
    ) async throws {
        let now = self.now.advanced(bySeconds: seconds)
        try await database.write {
            try Machine.disconnected(id: machine.id, link: link, isFinal: isFinal, other: other, now: now, in: $0)
        }
    }

    private func refusal(_ body: () async throws -> some Sendable) async -> Refusal? {
        do {
            _ = try await body()
            return nil
        } catch { return error as? Refusal }
    }

    @Test func aCodeEnrolsOneMachineOnceForWhoeverMadeIt() async throws {
        let ana = try await temporary.account("ana", now: now)
        let now = self.now
        let (_, secret) = try await database.write { try EnrolmentCode.create(by: ana, now: now, in: $0) }
        func use(_ code: String, _ number: Int, after seconds: Int64 = 0) async throws -> Machine {
            let (enrolment, now) = (enrolment(number), now.advanced(bySeconds: seconds))
            return try await database.write {
                try EnrolmentCode.enrol(enrolment, code: code, from: "192.0.2.7", now: now, in: $0)
            }
        }
        #expect(await refusal { try await use("abcdefgh-jkmnpqrs", 1) }?.code == .enrolment)
        #expect(await refusal { try await use(secret, 1, after: 1801) }?.message.contains("expired at") == true)
        // As people type it, with words for the two machines alone behind it.
        let machine = try await use("  " + secret.uppercased() + "-correct-horse", 1)
        #expect(machine.userId == ana.user.id && machine.name == "box")
        // The answer was lost: the same key gets the same machine.
        #expect(try await use(secret, 1).id == machine.id)
        let stolen = await refusal { try await use(secret, 2) }
        #expect(stolen?.code == .enrolment && stolen?.message.contains("by box") == true)
        let events = try await database.read { try Audit.list(.init(), in: $0.tenant(ana.organisationId)) }
        #expect(events.contains { $0.action == "machine.enrolled" && $0.address == "192.0.2.7" })
    }

    @Test func aCodeOfSomebodyWhoMayNotEnrolAnyMoreIsGoodForNothing() async throws {
        let ana = try await temporary.account("ana", now: now)
        let ben = try await temporary.account("ben", now: now)
        let team = try await temporary.team("team", [(ana, .owner), (ben, .member)], now: now)
        let now = self.now
        let bensView = Caller(
            user: ben.user, organisationId: team.id, credential: .command, isStrong: true, address: "local")
        let (_, secret) = try await database.write { try EnrolmentCode.create(by: bensView, now: now, in: $0) }
        try await database.write {
            let owner = try ana.member(of: team.id, may: .tenantManageMembers, in: $0)
            try Member.remove(ben.user.id, by: owner, in: $0.tenant(team.id))
        }
        let enrolment = enrolment(1)
        let refused = await refusal {
            try await database.write { try EnrolmentCode.enrol(enrolment, code: secret, from: "x", now: now, in: $0) }
        }
        #expect(refused?.message.contains("no longer allowed to enrol machines") == true)
    }

    @Test func theSameKeyIsTheSameMachineAndNobodyElseCanHaveIt() async throws {
        let ana = try await temporary.account("ana", now: now)
        let ben = try await temporary.account("ben", now: now)
        let first = try await enrol(1, by: ana)
        #expect(try await enrol(1, by: ana, name: "renamed").id == first.id)
        #expect(try await enrol(2, by: ana).name == "box")
        #expect(try await enrol(3, by: ana).name == "box-2")
        #expect(await refusal { try await enrol(4, by: ana, name: "box") }?.code == .nameTaken)
        #expect(await refusal { try await enrol(1, by: ben) }?.code == .enrolment)
        let now = self.now
        try await database.write { try Machine.revoke(id: first.id, now: now, in: $0.tenant(ana.organisationId)) }
        // Also when it was revoked: its machine may still be trying.
        #expect(await refusal { try await enrol(1, by: ben) }?.code == .enrolment)
        #expect(await refusal { try await connect(1) }?.code == .machineRevoked)
        #expect(try await enrol(1, by: ana).id == first.id)
        try await connect(1)
        #expect(await refusal { try await connect(9) }?.code == .machineUnknown)
    }

    @Test func aMachineIsGoodAsLongAsItsAccountIs() async throws {
        let ana = try await temporary.account("ana", now: now)
        let machine = try await enrol(1, by: ana)
        let (_, caller) = try await connect(1)
        #expect(caller.organisationId == ana.organisationId && caller.credential == .machine(machine.id))
        let now = self.now
        #expect(try await database.read { try caller.isStillGood(now: now, in: $0) })
        #expect(await refusal { try await database.read { try caller.member(may: .tenantDelete, in: $0) } } != nil)
        #expect(await refusal { try caller.requirePerson() }?.code == .signInNeeded)
        try await database.write { try Machine.revoke(id: machine.id, now: now, in: $0.tenant(ana.organisationId)) }
        #expect(try await database.read { try caller.isStillGood(now: now, in: $0) } == false)
        #expect(
            try await database.read { try Revocation.list(after: 0, in: $0) }.map(\.subject)
                == [.credential(machine.id)])
    }

    @Test func aNewKeyTakesOverWhenItIsUsedAndBothAreGoodUntilThen() async throws {
        let ana = try await temporary.account("ana", now: now)
        let machine = try await enrol(1, by: ana)
        let scope = ana.organisationId
        let next = key(2)
        try await database.write { try Machine.announceKey(next, id: machine.id, in: $0.tenant(scope)) }
        #expect(try await connect(1).0.id == machine.id)
        #expect(try await connect(2).0.id == machine.id)
        #expect(await refusal { try await connect(1) }?.code == .machineUnknown)
        try await enrol(3, by: ana)
        let others = key(3)
        let taken = await refusal {
            try await database.write { try Machine.announceKey(others, id: machine.id, in: $0.tenant(scope)) }
        }
        #expect(taken?.code == .enrolment)
    }

    @Test func onlyItsOwnerOrAnAdminEnrolsAMachineForSomebodyElse() async throws {
        let ana = try await temporary.account("ana", now: now)
        let ben = try await temporary.account("ben", now: now)
        let team = try await temporary.team("team", [(ana, .owner), (ben, .member)], now: now)
        func member(_ caller: Caller) -> Caller {
            Caller(user: caller.user, organisationId: team.id, credential: .command, isStrong: true, address: "local")
        }
        let machine = try await enrol(1, by: member(ana))
        let (_, caller) = try await connect(1)
        let now = self.now
        let tunnel = try await database.write {
            try Tunnel.claim(
                .init(kind: .http, name: "demo", port: nil, declared: (machine.id, "web")), by: caller, candidates: [],
                ports: nil, now: now, in: $0)
        }
        #expect(await refusal { try await enrol(1, by: member(ben)) }?.message.contains("enrolled by ana") == true)
        try await database.write { try Machine.revoke(id: machine.id, now: now, in: $0.tenant(team.id)) }
        #expect(try await enrol(1, by: member(ben)).userId == ben.user.id)
        // What was revoked before is not this enrolment's, and its tunnels go on under its new owner.
        #expect(try await database.read { try Revocation.list(after: 0, in: $0) }.isEmpty)
        #expect(
            try await database.read { try Tunnel.find(id: tunnel.id, in: $0.tenant(team.id)) }?.userId == ben.user.id)
        #expect(try await enrol(1, by: member(ana)).userId == ana.user.id)
    }

    @Test func aTokenGivesNoMoreAwayThanItHas() async throws {
        let ana = try await temporary.account("ana", now: now)
        let weak = Caller(
            user: ana.user, organisationId: ana.organisationId, credential: .command, scopes: [.machineEnroll],
            isStrong: true, address: "local")
        #expect(await refusal { try await enrol(1, by: weak) }?.message.contains("without tunnel:create") == true)
        let now = self.now
        #expect(
            await refusal { try await database.write { try EnrolmentCode.create(by: weak, now: now, in: $0) } }?.code
                == .notAllowed)
        // A code ends with the token that made it.
        let token = try await database.write { try APIToken.create(name: "t", userId: ana.user.id, now: now, in: $0) }
        let strong = Caller(
            user: ana.user, organisationId: ana.organisationId, credential: .apiToken(token.id), isStrong: true,
            address: "local")
        let (_, secret) = try await database.write { try EnrolmentCode.create(by: strong, now: now, in: $0) }
        try await database.write { _ = try APIToken.revoke(id: token.id, now: now, in: $0) }
        let enrolment = enrolment(1)
        let refused = await refusal {
            try await database.write { try EnrolmentCode.enrol(enrolment, code: secret, from: "x", now: now, in: $0) }
        }
        #expect(refused?.message.contains("no longer allowed to enrol machines") == true)
    }

    // MARK: maxHosts

    @Test func aThousandMachinesRaceForThePlansPlaces() async throws {
        let ana = try await temporary.account("ana", .pro, now: now)
        let (database, now) = (self.database, self.now)
        let enrolments = (1...1000).map { enrolment($0, name: "box \($0)") }
        try await database.write { connection in
            for enrolment in enrolments { _ = try Machine.enrol(enrolment, by: ana, now: now, in: connection) }
        }
        let keys = (1...1000).map(key)
        let outcomes = await withTaskGroup(of: Refusal?.self) { group in
            for key in keys {
                group.addTask {
                    do {
                        _ = try await database.write {
                            try Machine.connect(
                                key: key, link: "one", from: "192.0.2.1", software: "", now: now, in: $0)
                        }
                        return nil
                    } catch { return error as? Refusal }
                }
            }
            return await group.reduce(into: [Refusal?]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == nil } == 5)
        let refused = outcomes.compactMap { $0 }
        #expect(refused.count == 995)
        #expect(
            refused.allSatisfy {
                $0
                    == Refusal(
                        .hostLimit, "Host limit reached (5/5). Upgrade your plan for more hosts.", limit: 5, current: 5,
                        plan: .pro)
            })
    }

    @Test func theSameMachineNeverCountsTwice() async throws {
        let ana = try await temporary.account("ana", .free, now: now)
        try await enrol(1, by: ana)
        for _ in 0..<3 { try await connect(1) }
        // Not even enrolled, while the place is taken.
        let refused = await refusal { try await enrol(2, by: ana) }
        #expect(refused?.code == .hostLimit && refused?.limit == 1 && refused?.current == 1 && refused?.plan == .free)
        #expect(refused?.message == "Host limit reached (1/1). Upgrade your plan for more hosts.")
    }

    @Test func aLinkGivesUpItsOwnPlaceAndNoOther() async throws {
        let ana = try await temporary.account("ana", .free, now: now)
        let machine = try await enrol(1, by: ana)
        try await enrol(2, by: ana)
        try await connect(1, link: "first")
        try await connect(1, link: "second")
        // The old link ends late, and says that it stops.
        try await disconnect(machine, link: "first", isFinal: true)
        #expect(await refusal { try await connect(2, after: 3600) }?.code == .hostLimit)
        // A link that was never let in ends, while another one goes on.
        try await connect(1, link: "third")
        try await disconnect(machine, link: "third", isFinal: true, other: "second")
        #expect(await refusal { try await connect(2, after: 3600) }?.code == .hostLimit)
        try await disconnect(machine, link: "second", isFinal: true)
        #expect(await refusal { try await connect(2, after: 3600) } == nil)
    }

    @Test func aMachineThatWasLostKeepsItsPlaceForAMinuteAndOneThatStoppedGivesItUp() async throws {
        let ana = try await temporary.account("ana", .free, now: now)
        let first = try await enrol(1, by: ana)
        let second = try await enrol(2, by: ana)
        try await connect(1)
        try await disconnect(first, isFinal: false)
        #expect(await refusal { try await connect(2, after: 59) }?.code == .hostLimit)
        #expect(await refusal { try await connect(1, after: 59) } == nil)
        try await disconnect(first, isFinal: false, after: 60)
        #expect(await refusal { try await connect(2, after: 121) } == nil)
        // The first one's place is the second's now.
        #expect(await refusal { try await connect(1, after: 122) }?.code == .hostLimit)
        try await disconnect(second, isFinal: true, after: 123)
        #expect(await refusal { try await connect(1, after: 123) } == nil)
    }

    @Test func aLowerPlanCutsNobodyOffAlsoAcrossARestart() async throws {
        let ana = try await temporary.account("ana", .pro, now: now)
        var machines: [Machine] = []
        for number in 1...5 {
            machines.append(try await enrol(number, by: ana))
            try await connect(number)
        }
        try await enrolBeyond(ana)
        let now = self.now
        try await database.write {
            try Organisation.find(id: ana.organisationId, in: $0)?.setPlan(.free, by: .server, now: now, in: $0)
        }
        try await disconnect(machines[0], isFinal: false)
        #expect(await refusal { try await connect(1, after: 30) } == nil)
        try await database.write { try Machine.markAllLost(now: now.advanced(bySeconds: 100), in: $0) }
        // A newcomer does not slip in before them.
        #expect(await refusal { try await connect(6, after: 110) }?.message.contains("(5/1)") == true)
        for number in 1...5 { #expect(await refusal { try await connect(number, after: 3600) } == nil) }
        #expect(await refusal { try await connect(6, after: 3601) }?.code == .hostLimit)
        // Who stops and comes back begins anew.
        try await disconnect(machines[4], isFinal: true, after: 3602)
        #expect(await refusal { try await connect(5, after: 3602) }?.code == .hostLimit)
    }

    private func enrolBeyond(_ caller: Caller) async throws {
        // Enrolled while there was room: before the others connected it would have been as good.
        let (enrolment, now) = (enrolment(6), self.now)
        try await database.write {
            try Organisation.find(id: caller.organisationId, in: $0)?.setPlan(
                .enterprise, by: .server, now: now, in: $0)
            _ = try Machine.enrol(enrolment, by: caller, now: now, in: $0)
        }
    }

    // MARK: Tunnels

    @Test func aLabelIsTheSameTunnelWhateverHappens() async throws {
        let ana = try await temporary.account("ana", now: now)
        let machine = try await enrol(1, by: ana)
        let (_, caller) = try await connect(1)
        func claim(_ label: String, _ kind: TunnelKind = .http, name: String? = nil, word: String) async throws
            -> Tunnel
        {
            let now = self.now
            return try await database.write {
                try Tunnel.claim(
                    .init(kind: kind, name: name, port: nil, declared: (machine.id, label)), by: caller,
                    candidates: [word], ports: 21000...21001, now: now, in: $0)
            }
        }
        let web = try await claim("web", word: "a-b-c")
        #expect(web.isKept && web.label == "web" && web.machineId == machine.id)
        #expect(try await claim("web", word: "d-e-f") == web)
        #expect(try await claim("other", word: "d-e-f").id != web.id)
        // Another name under the label is another tunnel; the old one stays the machine's.
        let named = try await claim("web", name: "shop", word: "x")
        #expect(named.name == "shop" && named.label == "web")
        let port = try await claim("web", .tcp, word: "x")
        #expect(port.kind == .tcp && port.label == "web")
        let all = try await database.read { try Tunnel.list(of: machine.id, in: $0.tenant(ana.organisationId)) }
        #expect(all.map(\.label) == ["other", "web", nil, nil])
        #expect(await refusal { try await claim("we b", word: "q") }?.code == .invalid)
        // Another machine does not take a name that is declared, and a command that does makes it nobody's.
        let second = try await enrol(2, by: ana)
        let (_, other) = try await connect(2)
        let now = self.now
        func take(_ declared: (String, String)?, by caller: Caller) async throws -> Tunnel {
            let request = Tunnel.Request(kind: .http, name: "shop", port: nil, declared: declared)
            return try await database.write {
                try Tunnel.claim(request, by: caller, candidates: [], ports: nil, now: now, in: $0)
            }
        }
        #expect(
            await refusal { try await take((second.id, "web"), by: other) }?.message.contains(
                "declared by the machine box") == true)
        #expect(try await take(nil, by: ana).machineId == nil)
        #expect(try await take((second.id, "web"), by: other).machineId == second.id)
    }
}
