import Glibc
import Model
import TestSupport
import Testing

@testable import Database
@testable import Storage

/// Faults of 0.3.0 in what the database keeps, each with the test that failed before it was mended.
@Suite struct FindingsTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    // MARK: Reads

    /// Each statement of a read saw a database of its own: `audit verify` beside a running server found events behind the head.
    @Test func aReadSeesOneSnapshotHoweverMuchIsWrittenMeanwhile() async throws {
        let (ana, now, database) = (try await temporary.account("ana", now: now), self.now, self.database)
        let writer = Task {
            for number in 0..<400 {
                try await database.write {
                    try Audit.record(.tokenCreated, target: "t\(number)", by: ana, now: now, in: $0.tenant(ana.user.id))
                }
            }
        }
        for _ in 0..<200 {
            let verdict = try await database.read { try Audit.verify(in: $0.tenant(ana.user.id)) }
            #expect(verdict.problems.isEmpty)
        }
        try await writer.value
    }

    @Test func aReadThatThrowsLeavesItsThreadReady() async throws {
        struct Failure: Error {}
        for _ in 0..<5 {
            await #expect(throws: Failure.self) { try await database.read { _ in throw Failure() } as Void }
            try await database.read { try $0.check() }
        }
    }

    // MARK: What is never removed

    @Test func usedRefreshTokensAreForgottenAfterTheReuseWindow() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        let (_, first) = try await database.write {
            try SignIn.begin(
                user: ana.user, kind: .client, client: "c", address: "a", isStrong: false, now: now, in: $0)
        }
        var secret = try #require(first)
        // A month of a client that refreshes every six hours.
        for step in 0..<120 {
            let at = now.advanced(bySeconds: Int64(step) * 6 * 3600)
            let current = secret
            let outcome = try await database.write { connection -> SignIn.Refreshed in
                let outcome = try SignIn.refresh(current, now: at, in: connection)
                if case .renewed(let signIn, _) = outcome { try signIn.markUsed(address: "a", now: at, in: connection) }
                return outcome
            }
            guard case .renewed(_, let next) = outcome else {
                Issue.record("refresh \(step) was refused")
                return
            }
            secret = next
        }
        let kept = try await database.read {
            try $0.first("SELECT COUNT(*) AS kept FROM refresh_tokens") { try $0.integer("kept") } ?? 0
        }
        #expect(kept <= 7 * 4 + 2)
        // Within the window a second use is still theft.
        let stolen = try #require(first)
        let last = now.advanced(bySeconds: 120 * 6 * 3600)
        guard case .unknown = try await database.write({ try SignIn.refresh(stolen, now: last, in: $0) }) else {
            Issue.record("a token of a month ago was known")
            return
        }
    }

    @Test func whatEndedLongAgoIsClearedAwayInBatches() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        for number in 0..<3 {
            try await database.write { connection in
                let session = try ShareSession.start(host: ana, publicKey: "k", name: nil, now: now, in: connection)
                _ = try ShareCode.create(
                    .init(permission: .read, maxUses: nil, expiresInMinutes: nil), sessionId: session.id, owner: ana,
                    candidates: ["C\(number)"], now: now, in: connection)
                if number < 2 { _ = try ShareSession.end(id: session.id, reason: .hostEnded, now: now, in: connection) }
            }
        }
        let later = now.advanced(bySeconds: 401 * 86_400)
        func sessions() async throws -> Int {
            try await database.read {
                try $0.across(.upkeep).first("SELECT COUNT(*) AS kept FROM share_sessions") { try $0.integer("kept") }
                    ?? 0
            }
        }
        #expect(try await database.write { try History.clearAway(olderThan: 400, now: now, in: $0) } == 0)
        #expect(try await sessions() == 3)
        #expect(try await database.write { try History.clearAway(olderThan: 400, now: later, in: $0) } == 2)
        #expect(try await sessions() == 1, "what still runs stays")
        #expect(try await database.write { try History.clearAway(olderThan: 0, now: later, in: $0) } == 0)
    }

    // MARK: Seats

    /// The seat of a sign-in that ran out while the server was down stayed good.
    @Test func aSeatOfASignInThatRanOutWhileTheServerWasDownIsLost() async throws {
        let (ana, ben, now) = (
            try await temporary.account("ana", now: now), try await temporary.account("ben", now: now), self.now
        )
        let seat = try await database.write { connection -> String in
            let session = try ShareSession.start(host: ana, publicKey: "k", name: nil, now: now, in: connection)
            let (host, _) = try SignIn.begin(
                user: ana.user, kind: .browser, client: "c", address: "a", isStrong: false, now: now, in: connection)
            try ShareSession.seatHost(
                id: session.id, peerId: "h", resumeDigest: [1], credentialId: host.id, now: now,
                in: connection.tenant(ana.user.id))
            _ = try ShareCode.create(
                .init(permission: .read, maxUses: nil, expiresInMinutes: nil), sessionId: session.id, owner: ana,
                candidates: ["C"], now: now, in: connection)
            let (guest, _) = try SignIn.begin(
                user: ben.user, kind: .browser, client: "c", address: "a", isStrong: false, now: now, in: connection)
            return try GuestSeat.admit(
                guest: .account(ben.user, credentialId: guest.id), code: "C", publicKey: "k",
                resumeDigest: { _ in [2] },
                now: now,
                in: connection
            ).id
        }
        func stored(_ at: Timestamp) async throws -> (hosts: Int, guests: Int) {
            let found = try await database.write { try StoredSeats.takeOver(now: at, in: $0) }
            return (found.filter { $0.host != nil }.count, found.reduce(0) { $0 + $1.guests.count })
        }
        #expect(try await stored(now) == (1, 1), "\(seat)")
        let later = now.advanced(bySeconds: SignIn.Kind.browser.lifetimeSeconds + 1)
        #expect(try await stored(later) == (0, 0))
    }

    @Test func aSeatThatNobodyProvedGivesTheUseOfItsCodeBack() async throws {
        let (ana, ben, now) = (
            try await temporary.account("ana", now: now), try await temporary.account("ben", now: now), self.now
        )
        let session = try await database.write { connection in
            let session = try ShareSession.start(host: ana, publicKey: "k", name: nil, now: now, in: connection)
            _ = try ShareCode.create(
                .init(permission: .read, maxUses: 1, expiresInMinutes: nil), sessionId: session.id, owner: ana,
                candidates: ["C"], now: now, in: connection)
            return session
        }
        for _ in 0..<3 {
            let seat = try await database.write {
                try GuestSeat.admit(
                    guest: .account(ben.user, credentialId: nil), code: "C", publicKey: "k", resumeDigest: { _ in [2] },
                    now: now, in: $0)
            }
            let unproved = try await database.write {
                try GuestSeat.leave(id: seat.id, isUnproved: true, now: now, in: $0)
            }
            #expect(unproved?.guestId == ben.user.id && unproved?.hostId == ana.user.id)
            // Once, however often it is said.
            #expect(
                try await database.write { try GuestSeat.leave(id: seat.id, isUnproved: true, now: now, in: $0) }
                    == nil)
        }
        #expect(session.endedAt == nil)
    }

    // MARK: The guard

    /// A statement that the guard could not check was run unchecked, and remembered.
    @Test func aStatementThatCannotBeCheckedDoesNotRun() throws {
        let guardian = try TenantGuard(
            path: "\(temporary.directory)/\(Database.fileName)", tables: Database.tenantTables)
        #expect(throws: StorageError.self) { try guardian.check("SELECT * FROM no_such_table") }
        #expect(throws: StorageError.self) { try guardian.check("this is no SQL") }
        try guardian.check("SELECT * FROM users")
    }

    // MARK: Plans

    @Test func aPlanThatIsSetIsInTheOrganisationsLogAndInTheServers() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        try await database.write {
            try ana.user.personalOrganisation(in: $0).setPlan(.team, by: .command, now: now, in: $0)
        }
        for log in [ana.user.id, Audit.appliance] {
            let events = try await database.read { try Audit.list(.init(), in: $0.tenant(log)) }
            #expect(events.contains { $0.action == AuditAction.planSet.rawValue && $0.detail == "enterprise to team" })
        }
    }

    @Test func theSentenceOfALimitNamesAPlanThatAllowsMore() {
        let plans = PlanCatalogue()
        #expect(plans.upgrade(from: .free, for: .codes) == .pro)
        #expect(plans.advice(from: .free, for: .codes, whoUpgrades: "Upgrade to") == "Upgrade to Pro for unlimited.")
        plans.configure(standard: nil, changes: ["pro.maxCodes=3", "team.maxCodes=3", "enterprise.maxCodes=5"])
        #expect(plans.advice(from: .pro, for: .codes, whoUpgrades: "Upgrade to") == "Upgrade to Enterprise for more.")
        plans.configure(
            standard: nil,
            changes: ["free.maxViewers=9", "pro.maxViewers=9", "team.maxViewers=9", "enterprise.maxViewers=9"])
        #expect(
            plans.advice(from: .free, for: .viewers, whoUpgrades: "Upgrade to") == "No plan on this server allows more."
        )
    }

    // MARK: Keys

    private func close(_ body: (String) throws -> Void) throws {
        database.close()
        try body(temporary.directory)
    }

    private func failure() -> String? {
        do {
            try Database(stateDirectory: temporary.directory).close()
            return nil
        } catch { return (error as? StorageError)?.message ?? "\(error)" }
    }

    private func replace(_ name: String, with bytes: [UInt8]) {
        let path = "\(temporary.directory)/\(name)"
        let descriptor = open(path, O_WRONLY | O_TRUNC)
        defer { Glibc.close(descriptor) }
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
    }

    @Test(arguments: [Keyring.masterName, Keyring.auditName]) func aKeyOfAnotherServerStopsTheStart(name: String)
        async throws
    {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        try await database.write {
            try Audit.record(.tokenCreated, target: "t", by: ana, now: now, in: $0.tenant(ana.user.id))
            try StoredSecret.set("smtp-password", to: "x", now: now, in: $0)
        }
        try close { directory in
            #expect(Keyring.problem(stateDirectory: directory) == nil)
            #expect(failure() == nil)
            replace(name, with: [UInt8](repeating: 7, count: KeyFile.size))
            let sentence = try #require(failure())
            #expect(sentence.contains(name) && sentence.contains("backup"), "\(sentence)")
            #expect(Keyring.problem(stateDirectory: directory) == sentence)
        }
    }

    @Test(arguments: [Keyring.masterName, Keyring.auditName]) func aLostKeyIsNotReplaced(name: String) async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        try await database.write {
            try Audit.record(.tokenCreated, target: "t", by: ana, now: now, in: $0.tenant(ana.user.id))
            try StoredSecret.set("smtp-password", to: "x", now: now, in: $0)
        }
        try close { directory in
            unlink("\(directory)/\(name)")
            let sentence = try #require(failure())
            #expect(sentence.contains("\(name) is missing") && sentence.contains("backup"), "\(sentence)")
            #expect(failure() == sentence, "the failed start made no key")
            #expect(Keyring.problem(stateDirectory: directory) == sentence)
        }
    }

    @Test func anEmptyDatabaseBesideTheKeysOfOneIsNoNewServer() async throws {
        _ = try await temporary.account("ana", now: now)
        try close { directory in
            replace(Database.fileName, with: [])
            unlink("\(directory)/\(Database.fileName)-wal")
            let sentence = try #require(failure())
            #expect(sentence.contains("empty or missing") && sentence.contains("postern restore"), "\(sentence)")
            unlink("\(directory)/\(Database.fileName)")
            #expect(failure() == sentence)
            for name in [Keyring.masterName, Keyring.auditName] { unlink("\(directory)/\(name)") }
            #expect(failure() == nil, "without keys it is a new server")
        }
    }

    /// Two processes that both found no key each went on with their own.
    @Test func manyWhoFindNoKeyAllGetTheSame() async throws {
        let path = "\(temporary.directory)/new.key"
        let keys = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<16 { group.addTask { try KeyFile.load(path) } }
            return try await group.reduce(into: Set<[UInt8]>()) { $0.insert($1) }
        }
        #expect(keys.count == 1)
    }
}
