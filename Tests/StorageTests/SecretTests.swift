import Database
import Model
import Testing

@testable import Storage

@Suite struct SecretTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    // MARK: The vault

    private let place = Vault.Place(table: "t", row: "r", column: "c")

    @Test func aSealedSecretOpensOnlyWhereItWasSealed() async throws {
        let place = self.place
        try await database.write { connection in
            let sealed = try Vault.seal([1, 2, 3], at: place, in: connection.tenant("a"))
            #expect(try Vault.open(sealed, at: place, in: connection.tenant("a")) == [1, 2, 3])
            #expect(try Vault.seal([1, 2, 3], at: place, in: connection.tenant("a")) != sealed)
            for other in [
                Vault.Place(table: "u", row: "r", column: "c"), Vault.Place(table: "t", row: "s", column: "c"),
                Vault.Place(table: "t", row: "r", column: "d"),
            ] {
                #expect(throws: StorageError.self) { try Vault.open(sealed, at: other, in: connection.tenant("a")) }
            }
            #expect(throws: StorageError.self) { try Vault.open(sealed, at: place, in: connection.tenant("b")) }
            for index in sealed.indices {
                var changed = sealed
                changed[index] ^= 1
                #expect(throws: StorageError.self) { try Vault.open(changed, at: place, in: connection.tenant("a")) }
            }
            #expect(throws: StorageError.self) { try Vault.open([], at: place, in: connection.tenant("a")) }
        }
    }

    @Test func rotatingTheMasterKeyKeepsEverySecretAndRewrapsKeysOnly() async throws {
        let place = self.place
        let sealed = try await database.write { connection in
            try ["a", "b"].map { try Vault.seal([7], at: place, in: connection.tenant($0)) }
        }
        let before = try KeyFile.load(temporary.directory + "/master.key")
        #expect(try await database.rotateMasterKey { _, _ in } == 2)
        #expect(try KeyFile.load(temporary.directory + "/master.key") != before)
        #expect(try KeyFile.read(temporary.directory + "/master.key.next") == nil)
        // A second process, and this one.
        let other = try Database(stateDirectory: temporary.directory)
        defer { other.close() }
        for database in [other, self.database] {
            let opened = try await database.read { connection in
                try zip(["a", "b"], sealed).map { try Vault.open($1, at: place, in: connection.tenant($0)) }
            }
            #expect(opened == [[7], [7]])
        }
    }

    @Test func aRunningServerOpensWhatAnotherProcessHasRewrapped() async throws {
        let place = self.place
        let sealed = try await database.write { try Vault.seal([7], at: place, in: $0.tenant("a")) }
        let other = try Database(stateDirectory: temporary.directory)
        _ = try await other.rotateMasterKey { _, _ in }
        other.close()
        #expect(try await database.read { try Vault.open(sealed, at: place, in: $0.tenant("a")) } == [7])
    }

    @Test func whatARunningServerSealsAfterARotationElsewhereStaysOpen() async throws {
        let place = self.place
        _ = try await database.write { try Vault.seal([1], at: place, in: $0.tenant("a")) }
        let other = try Database(stateDirectory: temporary.directory)
        _ = try await other.rotateMasterKey { _, _ in }
        other.close()
        // A data key that is made now is wrapped with the key that will be there tomorrow.
        let sealed = try await database.write { try Vault.seal([7], at: place, in: $0.tenant("b")) }
        let tomorrow = try Database(stateDirectory: temporary.directory)
        defer { tomorrow.close() }
        #expect(try await tomorrow.read { try Vault.open(sealed, at: place, in: $0.tenant("b")) } == [7])
    }

    @Test func aRotationThatFailsLeavesKeysThatOpenEverything() async throws {
        let place = self.place
        let sealed = try await database.write { try Vault.seal([7], at: place, in: $0.tenant("a")) }
        struct Crash: Error {}
        await #expect(throws: Crash.self) { _ = try await database.rotateMasterKey { _, _ in throw Crash() } }
        let again = try Database(stateDirectory: temporary.directory)
        defer { again.close() }
        #expect(try await again.read { try Vault.open(sealed, at: place, in: $0.tenant("a")) } == [7])
        #expect(try await again.rotateMasterKey { _, _ in } == 1)
        #expect(try await again.read { try Vault.open(sealed, at: place, in: $0.tenant("a")) } == [7])
    }

    // MARK: Second factors

    /// RFC 6238, appendix B, SHA-1.
    @Test(arguments: [
        (59, "94287082"), (1_111_111_109, "07081804"), (1_111_111_111, "14050471"), (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"), (20_000_000_000, "65353130"),
    ])
    func codesAreThoseOfRFC6238(second: Int64, code: String) {
        let seed = Array("12345678901234567890".utf8)
        #expect(TOTP.code(seed: seed, step: second / 30, digits: 8) == code)
    }

    @Test func codesOfNeighbouringStepsAreTakenOnceAndNeverBackwards() {
        let seed = Array("12345678901234567890".utf8)
        let step = TOTP.step(at: now)
        func found(_ offset: Int64, after last: Int64 = 0) -> Int64? {
            TOTP.step(of: TOTP.code(seed: seed, step: step + offset), seed: seed, now: now, after: last)
        }
        #expect([-2, -1, 0, 1, 2].map { found($0) } == [nil, step - 1, step, step + 1, nil])
        #expect(found(0, after: step) == nil && found(-1, after: step) == nil && found(1, after: step) == step + 1)
    }

    @Test func base32IsRFC4648() {
        for (bytes, text) in [
            ("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] { #expect(Base32.text(Array(bytes.utf8)) == text) }
    }

    @Test func theSeedIsNotInTheDatabaseAsItIs() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        let seed = try await database.write { try SecondFactor.begin(userId: ana.user.id, now: now, in: $0) }
        let stored = try await database.read { connection in
            try connection.first("SELECT seed FROM second_factors") { try $0.blob("seed") }
        }
        #expect(seed.count == 20 && stored != seed && stored?.count == 49)
        #expect(try await database.read { try SecondFactor.pending(userId: ana.user.id, in: $0) } == seed)
    }

    // MARK: Sign-ins and links

    @Test func signInsEndForGoodAndLeaveARevocation() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        let (signIn, secret) = try await database.write {
            try SignIn.begin(
                user: ana.user, kind: .browser, client: "c", address: "a", isStrong: false, now: now, in: $0)
        }
        let cookie = try #require(secret)
        #expect(try await database.read { try SignIn.find(cookie: cookie, now: now, in: $0) } == signIn)
        let later = now.advanced(bySeconds: SignIn.Kind.browser.lifetimeSeconds)
        #expect(try await database.read { try SignIn.find(cookie: cookie, now: later, in: $0) } == nil)
        let before = try await database.read { try Revocation.list(after: 0, in: $0).last?.number ?? 0 }
        try await database.write { try signIn.end(.signedOut, now: now, in: $0) }
        #expect(try await database.read { try SignIn.find(cookie: cookie, now: now, in: $0) } == nil)
        let revoked = try await database.read { try Revocation.list(after: before, in: $0) }
        #expect(revoked.map(\.subject) == [.credential(signIn.id)])
    }

    @Test func aNewPasswordEndsAllOtherSignIns() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        func begin() async throws -> SignIn {
            try await database.write {
                try SignIn.begin(
                    user: ana.user, kind: .browser, client: "c", address: "a", isStrong: false, now: now, in: $0
                ).0
            }
        }
        let (kept, other) = (try await begin(), try await begin())
        try await database.write {
            try Password.set(hash: "h", userId: ana.user.id, keeping: kept.id, now: now, in: $0)
        }
        #expect(try await database.read { try SignIn.find(id: kept.id, now: now, in: $0) } != nil)
        #expect(try await database.read { try SignIn.find(id: other.id, now: now, in: $0) } == nil)
    }

    @Test func aLinkWorksOnceForItsPurposeAndNotTooLate() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        let secret = try await database.write {
            try OneTimeLink.create(.resetPassword, userId: ana.user.id, now: now, in: $0)
        }
        func use(_ purpose: OneTimeLink.Purpose, after seconds: Int64 = 0) async -> Refusal.Code? {
            do {
                _ = try await database.write {
                    try OneTimeLink.use(purpose, secret: secret, now: now.advanced(bySeconds: seconds), in: $0)
                }
                return nil
            } catch { return (error as? Refusal)?.code }
        }
        #expect(await use(.verifyEmail) == .link)
        #expect(await use(.resetPassword, after: 3600) == .link)
        #expect(await use(.resetPassword, after: 3599) == nil)
        #expect(await use(.resetPassword) == .link)
    }

    @Test func signingKeysRotateAndOldOnesAreBelievedForAWhile() async throws {
        let now = self.now
        let first = try await database.write { try SigningKey.rotateIfDue(now: now, in: $0) }
        #expect(first.count == 1)
        #expect(
            try await database.write { try SigningKey.rotateIfDue(now: now.advanced(bySeconds: 86_400), in: $0) }
                == first)
        let month = now.advanced(bySeconds: SigningKey.rotationSeconds + 1)
        let both = try await database.write { try SigningKey.rotateIfDue(now: month, in: $0) }
        #expect(both.count == 2 && both[1] == first[0])
        let late = month.advanced(bySeconds: SigningKey.overlapSeconds)
        #expect(try await database.write { try SigningKey.rotateIfDue(now: late, in: $0) }.map(\.id) == [both[0].id])
    }

    // MARK: Identities

    @Test func anIdentityFindsItsAccountAndTakesNoOther() async throws {
        let (ana, now) = (try await temporary.account("ana", now: now), self.now)
        func signIn(_ subject: String, _ email: String?, verified: Bool, register: Bool = true) async throws -> User {
            try await database.write {
                try ExternalIdentity(
                    provider: "p", subject: subject, email: email, isEmailVerified: verified, suggestedName: "a n a!"
                ).signIn(mayRegister: register, now: now, in: $0)
            }
        }
        await #expect(throws: Refusal.self) { _ = try await signIn("1", nil, verified: false, register: false) }
        let made = try await signIn("1", "ana@box.test", verified: false)
        #expect(made.username == "ana-2" && made.emailVerifiedAt == nil)
        #expect(try await signIn("1", nil, verified: false, register: false).id == made.id)
        // An address that nobody proved leads to no account, on neither side.
        try await database.write { try ana.user.setEmail("ana@box.test", verifiedAt: now, in: $0) }
        #expect(try await signIn("2", "ana@box.test", verified: false).id != ana.user.id)
        #expect(try await signIn("3", "Ana@Box.test", verified: true).id == ana.user.id)
        #expect(try await signIn("3", nil, verified: false, register: false).id == ana.user.id)
    }
}
