import Storage
import Testing

@Suite struct SharingTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func user(_ name: String, _ plan: Plan) async throws -> User {
        let now = self.now
        return try await database.write {
            try User.create(username: name, plan: plan, isAdmin: false, now: now, in: $0)
        }
    }

    private func session(_ host: User) async throws -> ShareSession {
        let now = self.now
        return try await database.write {
            try ShareSession.start(host: host, publicKey: "k", name: nil, now: now, in: $0)
        }
    }

    private func code(
        _ session: ShareSession, _ owner: User, uses: Int? = nil, minutes: Int? = nil, name: String
    ) async throws -> ShareCode {
        let now = self.now
        let request = ShareCode.Request(permission: .control, maxUses: uses, expiresInMinutes: minutes)
        return try await database.write {
            try ShareCode.create(request, sessionId: session.id, owner: owner, candidates: [name], now: now, in: $0)
        }
    }

    private func refusal(_ body: () async throws -> some Sendable) async -> Refusal.Code? {
        do {
            _ = try await body()
            return nil
        } catch { return (error as? Refusal)?.code }
    }

    @Test func aTokenIsFoundByItsDigestAndByNothingElse() async throws {
        let ana = try await user("ana", .free)
        let now = self.now
        let token = try await database.write { try APIToken.create(name: "t", userId: ana.id, now: now, in: $0) }
        #expect(token.secret.hasPrefix("pst_") && token.secret.count == 47)
        #expect(try await database.read { try APIToken.owner(of: token.secret, in: $0) } == ana)
        #expect(try await database.read { try APIToken.owner(of: token.secret + "x", in: $0) } == nil)
    }

    @Test func aNameCanBeTakenOnce() async throws {
        _ = try await user("ana", .free)
        #expect(await refusal { try await user("ana", .free) } == .nameTaken)
    }

    @Test func aRefusedTransactionLeavesNoChange() async throws {
        let ana = try await user("ana", .enterprise)
        let now = self.now
        let refused = await refusal {
            try await database.write { connection -> Int in
                _ = try ShareSession.start(host: ana, publicKey: "k", name: nil, now: now, in: connection)
                throw Refusal(.notFound, "changed my mind")
            }
        }
        #expect(refused == .notFound)
        #expect(try await database.read { try ShareSession.active(ownedBy: ana.id, in: $0) }.isEmpty)
    }

    @Test func racesAtTheShareLimitAreWonByExactlyTheLimit() async throws {
        for round in 0..<50 {
            let host = try await user("pro\(round)", .pro)
            let won = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 { group.addTask { await refusal { try await session(host) } == nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(won == 5)
        }
    }

    @Test func racesForTheLastUseOfACodeAreWonOnce() async throws {
        let (host, guest) = (try await user("host", .enterprise), try await user("guest", .free))
        let session = try await session(host)
        let now = self.now
        for round in 0..<50 {
            let name = "C\(round)"
            _ = try await code(session, host, uses: 1, name: name)
            let won = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        await refusal {
                            try await database.write {
                                try Connection.admit(
                                    guest: guest, code: name, publicKey: "", resumeDigest: { _ in [1] }, now: now,
                                    in: $0)
                            }.id
                        } == nil
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(won == 1)
        }
    }

    @Test func everyReasonToRefuseACodeIsToldApart() async throws {
        let host = try await user("host", .enterprise)
        let session = try await session(host)
        let start = now
        func check(_ name: String, after seconds: Int64 = 0) async -> Refusal.Code? {
            await refusal {
                try await database.read {
                    try Invitation.find(code: name, now: start.advanced(bySeconds: seconds), in: $0)
                }
                .code.code
            }
        }
        _ = try await code(session, host, minutes: 1, name: "A")
        #expect(await check("A") == nil)
        #expect(await check("A", after: 59) == nil)
        #expect(await check("A", after: 60) == .codeExpired)
        #expect(await check("B") == .codeNotFound)
        try await database.write { try ShareCode.revoke(code: "A", by: "somebody else", now: start, in: $0) }
        #expect(await check("A") == nil)
        try await database.write { try ShareCode.revoke(code: "A", by: host.id, now: start, in: $0) }
        #expect(await check("A") == .codeRevoked)
        _ = try await code(session, host, name: "C")
        _ = try await database.write { try ShareSession.end(id: session.id, reason: .hostEnded, now: start, in: $0) }
        #expect(await check("C") == .sessionEnded)
    }

    @Test func seatsAreCountedByPlanAndFreeAgainWhenGivenUp() async throws {
        let (host, guest) = (try await user("host", .free), try await user("guest", .free))
        let session = try await session(host)
        _ = try await code(session, host, name: "A")
        let now = self.now
        func admit() async throws -> String {
            try await database.write {
                try Connection.admit(
                    guest: guest, code: "A", publicKey: "", resumeDigest: { _ in [1] }, now: now, in: $0)
            }.id
        }
        let first = try await admit()
        _ = try await admit()
        #expect(await refusal { try await admit() } == .viewerLimit)
        try await database.write { try Connection.leave(id: first, now: now, in: $0) }
        #expect(await refusal { try await admit() } == nil)
    }

    @Test func seatsOutliveARestartEachWithItsOwnSlot() async throws {
        let (host, guest) = (try await user("host", .enterprise), try await user("guest", .free))
        let session = try await session(host)
        _ = try await code(session, host, name: "A")
        let now = self.now
        func admit(_ number: UInt8) async throws -> Connection {
            try await database.write {
                try Connection.admit(
                    guest: guest, code: "A", publicKey: "key", resumeDigest: { _ in [number] }, now: now, in: $0)
            }
        }
        let seats = [try await admit(1), try await admit(2), try await admit(3)]
        #expect(seats.map(\.slot) == [1, 2, 3])
        try await database.write { try Connection.leave(id: seats[1].id, now: now, in: $0) }
        // A slot is not used again while there are others: a late frame finds nobody.
        #expect(try await admit(4).slot == 4)
        try await database.write {
            try ShareSession.seatHost(id: session.id, peerId: "h", resumeDigest: [9], in: $0)
        }
        let stored = try await database.write { try StoredSeats.takeOver(now: now, in: $0) }
        #expect(stored.count == 1)
        #expect(stored.first?.host?.resumeDigest == [9])
        #expect(stored.first?.guests.map(\.slot).sorted() == [1, 3, 4])
        #expect(stored.first?.guests.first?.publicKey == "key")
        _ = try await database.write { try ShareSession.end(id: session.id, reason: .hostEnded, now: now, in: $0) }
        #expect(try await database.write { try StoredSeats.takeOver(now: now, in: $0) }.isEmpty)
    }

    @Test func aTakenCodeIsPassedOverAndRunningOutIsAnError() async throws {
        let host = try await user("host", .enterprise)
        let session = try await session(host)
        _ = try await code(session, host, name: "A")
        let now = self.now
        let request = ShareCode.Request(permission: .read, maxUses: nil, expiresInMinutes: nil)
        let second = try await database.write {
            try ShareCode.create(request, sessionId: session.id, owner: host, candidates: ["A", "B"], now: now, in: $0)
        }
        #expect(second.code == "B")
        await #expect(throws: StorageError.self) { try await code(session, host, name: "A") }
    }
}
