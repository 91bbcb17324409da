import Database
import Model
import Storage
import Testing

@Suite struct SharingTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func user(_ name: String, _ plan: Plan) async throws -> Caller {
        try await temporary.account(name, plan, now: now)
    }

    private func session(_ host: Caller) async throws -> ShareSession {
        let now = self.now
        return try await database.write {
            try ShareSession.start(host: host, publicKey: "k", name: nil, now: now, in: $0)
        }
    }

    private func code(
        _ session: ShareSession, _ owner: Caller, uses: Int? = nil, minutes: Int? = nil, name: String
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
        let token = try await database.write { try APIToken.create(name: "t", userId: ana.user.id, now: now, in: $0) }
        #expect(token.secret.hasPrefix("pst_") && token.secret.count == 47)
        func owner(_ secret: String, after seconds: Int64 = 0) async throws -> String? {
            try await database.read {
                try APIToken.caller(
                    of: secret, address: "a", now: now.advanced(bySeconds: seconds), in: $0)?.user.id
            }
        }
        #expect(try await owner(token.secret) == ana.user.id)
        #expect(try await owner(token.secret + "x") == nil)
        let short = try await database.write {
            try APIToken.create(
                name: "t", userId: ana.user.id, expiresAt: now.advanced(bySeconds: 60), now: now, in: $0)
        }
        #expect(try await owner(short.secret, after: 59) == ana.user.id)
        #expect(try await owner(short.secret, after: 60) == nil)
        try await database.write { _ = try APIToken.revoke(id: token.id, now: now, in: $0) }
        #expect(try await owner(token.secret) == nil)
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
        #expect(
            try await database.read { try ShareSession.active(ownedBy: ana.user.id, in: $0.tenant(ana.user.id)) }
                .isEmpty)
    }

    @Test func everyReasonToRefuseACodeIsToldApart() async throws {
        let host = try await user("host", .enterprise)
        let stranger = try await user("stranger", .enterprise)
        let session = try await session(host)
        let start = now
        func check(_ name: String, after seconds: Int64 = 0) async -> Refusal.Code? {
            await refusal {
                try await database.read {
                    try OpenCode.find(code: name, now: start.advanced(bySeconds: seconds), in: $0)
                }
                .code.code
            }
        }
        _ = try await code(session, host, minutes: 1, name: "A")
        #expect(await check("A") == nil)
        #expect(await check("A", after: 59) == nil)
        #expect(await check("A", after: 60) == .codeExpired)
        #expect(await check("B") == .codeNotFound)
        // A stranger learns nothing, also not that the code exists.
        for name in ["A", "NONE"] {
            let refused = await refusal {
                try await database.write {
                    try ShareCode.revoke(code: name, by: stranger, now: start, in: $0.tenant(host.user.id))
                }
            }
            #expect(refused == .notFound)
        }
        #expect(await check("A") == nil)
        try await database.write { try ShareCode.revoke(code: "A", by: host, now: start, in: $0.tenant(host.user.id)) }
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
                try GuestSeat.admit(
                    guest: .account(guest.user, credentialId: nil), code: "A", publicKey: "",
                    resumeDigest: { _ in [1] }, now: now, in: $0)
            }.id
        }
        let first = try await admit()
        _ = try await admit()
        #expect(await refusal { try await admit() } == .viewerLimit)
        _ = try await database.write { try GuestSeat.leave(id: first, now: now, in: $0) }
        #expect(await refusal { try await admit() } == nil)
    }

    @Test func seatsOutliveARestartEachWithItsOwnSlot() async throws {
        let (host, guest) = (try await user("host", .enterprise), try await user("guest", .free))
        let session = try await session(host)
        _ = try await code(session, host, name: "A")
        let now = self.now
        func admit(_ number: UInt8) async throws -> GuestSeat {
            try await database.write {
                try GuestSeat.admit(
                    guest: .account(guest.user, credentialId: nil), code: "A", publicKey: "key",
                    resumeDigest: { _ in [number] }, now: now, in: $0)
            }
        }
        let seats = [try await admit(1), try await admit(2), try await admit(3)]
        #expect(seats.map(\.slot) == [1, 2, 3])
        _ = try await database.write { try GuestSeat.leave(id: seats[1].id, now: now, in: $0) }
        // A slot is not used again while there are others: a late frame finds nobody.
        #expect(try await admit(4).slot == 4)
        try await database.write {
            try ShareSession.seatHost(
                id: session.id, peerId: "h", resumeDigest: [9], now: now, in: $0.tenant(host.user.id))
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
