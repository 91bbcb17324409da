import Database
import Glibc
import Model
import Storage
import Testing

/// Check and act are one step: of many who ask at once, exactly as many get through as the limit says, every time.
@Suite(.serialized) struct RaceTests {
    /// Of each race: a sample, and with RACES=1000 what `make soak` runs.
    private static let rounds = getenv("RACES").flatMap { Int(String(cString: $0)) } ?? 100
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    /// Runs many races at once, so that their transactions share their commits.
    private func rounds(_ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<10 {
                group.addTask { for round in 0..<Self.rounds / 10 { try await body(lane * 1000 + round) } }
            }
            try await group.waitForAll()
        }
    }

    private func start(_ host: Caller) async throws -> ShareSession {
        let now = self.now
        return try await database.write {
            try ShareSession.start(host: host, publicKey: "k", name: nil, now: now, in: $0)
        }
    }

    private func code(_ name: String, _ session: ShareSession, _ host: Caller, uses: Int? = nil) async throws {
        let now = self.now
        let request = ShareCode.Request(permission: .read, maxUses: uses, expiresInMinutes: nil)
        _ = try await database.write {
            try ShareCode.create(request, sessionId: session.id, owner: host, candidates: [name], now: now, in: $0)
        }
    }

    @Test func shareSessionsOfOnePerson() async throws {
        let now = self.now
        try await rounds { round in
            let host = try await temporary.account("h\(round)", .pro, now: now)
            let won = await temporary.race(8) {
                _ = try ShareSession.start(host: host, publicKey: "k", name: nil, now: now, in: $0)
            }
            #expect(won == 5)
        }
    }

    @Test func liveCodesOfOneSession() async throws {
        let now = self.now
        try await rounds { round in
            let host = try await temporary.account("h\(round)", .free, now: now)
            let session = try await start(host)
            let request = ShareCode.Request(permission: .read, maxUses: nil, expiresInMinutes: nil)
            let won = await temporary.race(5) {
                _ = try ShareCode.create(
                    request, sessionId: session.id, owner: host,
                    candidates: ["\(round)-\(UInt64.random(in: 0 ... .max))"],
                    now: now, in: $0)
            }
            #expect(won == 2)
        }
    }

    @Test func guestsOfOneSession() async throws {
        let now = self.now
        let guest = try await temporary.account("guest", now: now)
        try await rounds { round in
            let host = try await temporary.account("h\(round)", .free, now: now)
            try await code("C\(round)", try await start(host), host)
            let won = await temporary.race(5) {
                _ = try GuestSeat.admit(
                    guest: .account(guest.user, credentialId: nil), code: "C\(round)", publicKey: "",
                    resumeDigest: { _ in [1] }, now: now, in: $0)
            }
            #expect(won == 2)
        }
    }

    @Test func usesOfOneCode() async throws {
        let now = self.now
        let (host, guest) = (try await temporary.account("h", now: now), try await temporary.account("g", now: now))
        let session = try await start(host)
        try await rounds { round in
            try await code("C\(round)", session, host, uses: 1)
            let won = await temporary.race(4) {
                _ = try GuestSeat.admit(
                    guest: .account(guest.user, credentialId: nil), code: "C\(round)", publicKey: "",
                    resumeDigest: { _ in [1] }, now: now, in: $0)
            }
            #expect(won == 1)
        }
    }

    @Test func anInvitationLetsOnePersonIn() async throws {
        let now = self.now
        let owner = try await temporary.account("owner", now: now)
        let team = try await temporary.team("team", [(owner, .owner)], now: now)
        try await rounds { round in
            let people = [
                try await temporary.account("a\(round)", now: now), try await temporary.account("b\(round)", now: now),
                try await temporary.account("c\(round)", now: now),
            ]
            let secret = try await database.write { connection in
                let inviter = try owner.member(of: team.id, may: .tenantManageMembers, in: connection)
                return try Invitation.create(
                    email: nil, role: Role(.member), by: inviter, now: now, in: connection.tenant(team.id)
                ).secret
            }
            let won = await withTaskGroup(of: Int.self) { group in
                for person in people {
                    group.addTask {
                        await temporary.race(1) {
                            _ = try Invitation.accept(secret: secret, user: person.user, now: now, in: $0)
                        }
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(won == 1)
        }
    }

    @Test func twoOwnersWhoLeaveAtOnceLeaveOneBehind() async throws {
        let now = self.now
        try await rounds { round in
            let people = [
                try await temporary.account("a\(round)", now: now), try await temporary.account("b\(round)", now: now),
            ]
            let team = try await temporary.team("team", [(people[0], .owner), (people[1], .owner)], now: now)
            let left = await withTaskGroup(of: Int.self) { group in
                for person in people {
                    group.addTask {
                        await temporary.race(1) { connection in
                            let own = try person.member(of: team.id, may: .tenantRead, in: connection)
                            _ = try Member.remove(person.user.id, by: own, in: connection.tenant(team.id))
                        }
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(left == 1)
        }
    }

    @Test func aRefreshTokenIsRenewedOnceAndTheSecondUseEndsTheFamily() async throws {
        let now = self.now
        let ana = try await temporary.account("ana", now: now)
        try await rounds { _ in
            let (signIn, secret) = try await database.write {
                let begun = try SignIn.begin(
                    user: ana.user, kind: .client, client: "c", address: "a", isStrong: false, now: now, in: $0)
                return (begun.0, try #require(begun.secret))
            }
            let renewed = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        let outcome = try? await database.write { try SignIn.refresh(secret, now: now, in: $0) }
                        if case .renewed? = outcome { return true } else { return false }
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(renewed == 1)
            #expect(try await database.read { try SignIn.find(id: signIn.id, now: now, in: $0) } == nil)
        }
    }

    @Test func aCodeOfTheAppAndARecoveryCodeWorkOnce() async throws {
        let now = self.now
        let ana = try await temporary.account("ana", now: now)
        let id = ana.user.id
        let seed = try await database.write { try SecondFactor.begin(userId: id, now: now, in: $0) }
        _ = try await database.write {
            try SecondFactor.confirm(
                code: TOTP.code(seed: seed, step: TOTP.step(at: now)), userId: id, now: now, in: $0)
        }
        for round in 1...Self.rounds {
            let later = now.advanced(bySeconds: Int64(round) * 60)
            let code = TOTP.code(seed: seed, step: TOTP.step(at: later))
            let won = await temporary.race(3) {
                guard try SecondFactor.take(code, userId: id, now: later, in: $0) else { throw Refusal(.code, "no") }
            }
            #expect(won == 1)
        }
        for code in try await database.write({ try SecondFactor.renewRecoveryCodes(userId: id, in: $0) }) {
            let won = await temporary.race(3) {
                guard try SecondFactor.take(code, userId: id, now: now, in: $0) else { throw Refusal(.code, "no") }
            }
            #expect(won == 1)
        }
    }
}
