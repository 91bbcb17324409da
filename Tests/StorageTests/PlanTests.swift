import Database
import Model
import Storage
import Testing

@Suite struct PlanTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func start(_ host: Caller) async throws -> ShareSession {
        let now = self.now
        return try await database.write {
            try ShareSession.start(host: host, publicKey: "k", name: nil, now: now, in: $0)
        }
    }

    private func refusal(_ host: Caller) async -> Refusal? {
        do {
            _ = try await start(host)
            return nil
        } catch { return error as? Refusal }
    }

    private func claiming(_ plan: Plan, _ host: Caller) -> Caller {
        let claims = Caller.Claims(plan: plan, limits: database.keysAndPlans.plans[plan])
        return Caller(
            user: host.user, organisationId: host.organisationId, credential: .signIn("s"), claims: claims,
            isStrong: false, address: "a")
    }

    private func set(_ plan: Plan, _ host: Caller) async throws {
        try await database.write {
            try host.user.personalOrganisation(in: $0).setPlan(plan, by: .server, now: .now(), in: $0)
        }
    }

    @Test func aRefusalSaysTheLimitTheCountThePlanAndWhatToDo() async throws {
        let host = try await temporary.account("ana", .free, now: now)
        _ = try await start(host)
        let refusal = try #require(await refusal(host))
        #expect(refusal.message == "Share limit reached (1). Upgrade to Pro for more.")
        #expect((refusal.limit, refusal.current, refusal.plan) == (1, 1, .free))
    }

    @Test func aLowerPlanCutsNothingAndRefusesWhatIsNew() async throws {
        let host = try await temporary.account("ana", .pro, now: now)
        let pro = claiming(.pro, host)
        for _ in 0..<3 { _ = try await start(pro) }
        try await set(.free, host)
        // The token still says pro.
        #expect(await refusal(pro)?.plan == .free)
        let active = try await database.read { try ShareSession.active(ownedBy: nil, in: $0.tenant(host.user.id)) }
        #expect(active.count == 3 && active.allSatisfy { $0.endsAt == nil })
    }

    @Test func aHigherPlanCountsFromTheNextToken() async throws {
        let host = try await temporary.account("ana", .free, now: now)
        let old = claiming(.free, host)
        _ = try await start(old)
        try await set(.pro, host)
        #expect(await refusal(old)?.limit == 1)
        #expect(await refusal(claiming(.pro, host)) == nil)
    }

    @Test func aTimedPlanPromisesItsEndAtTheStart() async throws {
        let host = try await temporary.account("ana", .free, now: now)
        #expect(try await start(host).endsAt == now.advanced(bySeconds: 15 * 60))
    }

    @Test func theOwnerChangesWhatPlansAllowAndMistakesAreNamed() {
        let plans = PlanCatalogue()
        #expect(plans.configure(standard: "free", changes: ["free.maxShares=7", "pro.maxViewers=unlimited"]).isEmpty)
        #expect(plans[.free][.shares] == 7 && plans[.pro][.viewers] == nil && plans.standard == .free)
        for wrong in ["free", "fre.maxShares=1", "free.maxShare=1", "free.maxShares=-2", "free.maxShares=x"] {
            #expect(plans.configure(standard: nil, changes: [wrong]).count == 1, "\(wrong)")
        }
        // A mistake changes nothing.
        #expect(plans[.free][.shares] == 7)
        #expect(plans.configure(standard: nil, changes: []).isEmpty)
        #expect(plans[.free][.shares] == 1 && plans.standard == .enterprise)
    }

    @Test func limitsOutAndInAgainAreTheSame() {
        let plans = PlanCatalogue()
        for plan in Plan.allCases {
            #expect(PlanLimits(named: plans[plan].named) == plans[plan])
            #expect(plans[plan].named.count == PlanLimit.allCases.count)
        }
    }

    // MARK: The ledger

    private func sums(_ id: String) async throws -> [UsageLedger.Unit: Int] {
        let all = try await database.read { try UsageLedger.sums(from: 0, to: 10_000_000, in: $0.tenant(id)) }
        return all.reduce(into: [:]) { $0[$1.unit, default: 0] += $1.amount }
    }

    @Test func minutesAreCountedOnceHoweverOftenTheMeterRuns() async throws {
        let (host, guest) = (try await temporary.account("h", now: now), try await temporary.account("g", now: now))
        let session = try await start(host)
        let now = self.now
        let request = ShareCode.Request(permission: .read, maxUses: nil, expiresInMinutes: nil)
        let seat = try await database.write { connection in
            _ = try ShareCode.create(
                request, sessionId: session.id, owner: host, candidates: ["C"], now: now, in: connection)
            return try GuestSeat.admit(
                guest: .account(guest.user, credentialId: nil), code: "C", publicKey: "", resumeDigest: { _ in [1] },
                now: now.advanced(bySeconds: 90), in: connection)
        }
        for second in stride(from: Int64(0), through: 7200, by: 7) {
            try await database.write { try UsageLedger.meter(now: now.advanced(bySeconds: second), in: $0) }
        }
        _ = try await database.write { try GuestSeat.leave(id: seat.id, now: now.advanced(bySeconds: 7201), in: $0) }
        try await database.write {
            _ = try ShareSession.end(
                id: session.id, reason: .hostEnded, now: now.advanced(bySeconds: 7230), in: $0)
        }
        let found = try await sums(host.user.id)
        // 7,230 s are 120.5 minutes and 7,111 s are 118.5: a minute that has begun counts.
        #expect(found[.sessionMinutes] == 121 && found[.guestMinutes] == 119)
        #expect(try await sums(guest.user.id).isEmpty)
    }

    @Test func minutesLieInTheHourInWhichTheyBegan() async throws {
        let host = try await temporary.account("h", now: now)
        // 20 s before the hour.
        let begin = Timestamp(milliseconds: now.milliseconds / 3_600_000 * 3_600_000 + 3_580_000)
        let session = try await database.write {
            try ShareSession.start(host: host, publicKey: "k", name: nil, now: begin, in: $0)
        }
        _ = try await database.write {
            try ShareSession.end(id: session.id, reason: .hostEnded, now: begin.advanced(bySeconds: 130), in: $0)
        }
        let hour = UsageLedger.hour(of: begin)
        let all = try await database.read {
            try UsageLedger.sums(from: hour, to: hour + 1, in: $0.tenant(host.user.id))
        }
        #expect(all.filter { $0.unit == .sessionMinutes }.map(\.amount) == [1, 2])
    }

    @Test func aLongAbsenceOfTheServerIsNotCharged() async throws {
        let host = try await temporary.account("h", now: now)
        let session = try await start(host)
        let now = self.now
        try await database.write { try UsageLedger.meter(now: now.advanced(bySeconds: 60), in: $0) }
        let back = now.advanced(bySeconds: 86_400)
        _ = try await database.write { try StoredSeats.takeOver(now: back, in: $0) }
        _ = try await database.write {
            try ShareSession.end(id: session.id, reason: .hostGone, now: back.advanced(bySeconds: 30), in: $0)
        }
        #expect(try await sums(host.user.id)[.sessionMinutes] == 2)
    }

    @Test func theMostPeersAtOnceAreKeptByHour() async throws {
        let (host, guest) = (try await temporary.account("h", now: now), try await temporary.account("g", now: now))
        let session = try await start(host)
        let now = self.now
        let request = ShareCode.Request(permission: .read, maxUses: nil, expiresInMinutes: nil)
        try await database.write { connection in
            try ShareSession.seatHost(
                id: session.id, peerId: "p", resumeDigest: [9], now: now, in: connection.tenant(host.user.id))
            _ = try ShareCode.create(
                request, sessionId: session.id, owner: host, candidates: ["C"], now: now, in: connection)
            for round in 0..<5 {
                let seat = try GuestSeat.admit(
                    guest: .account(guest.user, credentialId: nil), code: "C", publicKey: "",
                    resumeDigest: { _ in [UInt8(round)] }, now: now,
                    in: connection)
                if round % 2 == 0 { try GuestSeat.leave(id: seat.id, now: now, in: connection) }
            }
        }
        // Host and two who stayed, and the fifth while he was there.
        #expect(try await sums(host.user.id)[.peakPeers] == 4)
    }

    @Test func nobodyIsChargedForTheTimeThatTheMachineSlept() async throws {
        let host = try await temporary.account("h", now: now)
        let session = try await start(host)
        let (now, woken) = (self.now, now.advanced(bySeconds: 8 * 3600))
        try await database.write { connection in
            try UsageLedger.meter(pausedSince: now, now: now.advanced(bySeconds: 60), in: connection)
            try UsageLedger.meter(pausedSince: now.advanced(bySeconds: 60), now: woken, in: connection)
            try UsageLedger.meter(pausedSince: woken, now: woken.advanced(bySeconds: 60), in: connection)
            _ = try ShareSession.end(
                id: session.id, reason: .hostEnded, now: woken.advanced(bySeconds: 60), in: connection)
        }
        #expect(try await sums(host.user.id)[.sessionMinutes] == 2)
    }

    @Test func bytesAreSettledOnceHoweverOftenTheyAreTold() async throws {
        let host = try await temporary.account("h", now: now)
        let (first, second) = (try await start(host), try await start(host))
        let now = self.now
        // A late round's smaller number, the same again after a restart, a session that nobody knows.
        for told in [
            [first.id: 100, second.id: 7], [first.id: 350], [first.id: 100], [first.id: 350, "gone": 9], [second.id: 8],
        ] {
            try await database.write { try UsageLedger.settleBytes(told, now: now, in: $0) }
        }
        #expect(try await sums(host.user.id)[.bytesRelayed] == 358)
        let stored = try await database.write { try StoredSeats.takeOver(now: now, in: $0) }
        #expect(Set(stored.map(\.bytesRelayed)) == [350, 8])
        try await database.write { _ = try ShareSession.end(id: first.id, reason: .hostEnded, now: now, in: $0) }
        try await database.write { try UsageLedger.settleBytes([first.id: 351], now: now, in: $0) }
        #expect(try await sums(host.user.id)[.bytesRelayed] == 359)
    }

    @Test func theLedgerCannotBeChanged() async throws {
        let host = try await temporary.account("h", now: now)
        let session = try await start(host)
        let now = self.now
        _ = try await database.write {
            try UsageLedger.settleBytes([session.id: 5], now: now, in: $0)
        }
        try temporary.tamper("UPDATE usage_entries SET amount = 1", isRefused: "append-only")
        try temporary.tamper("DELETE FROM usage_entries", isRefused: "append-only")
        #expect(try await sums(host.user.id)[.bytesRelayed] == 5)
    }
}
