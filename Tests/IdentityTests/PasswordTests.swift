import Model
import Testing

@testable import Identity

@Suite struct PasswordTests {
    private let hasher = PasswordHasher()

    @Test func aPasswordIsRightOnlyAgainstItsOwnHash() async throws {
        let stored = try await hasher.hash("correct horse")
        #expect(stored.hasPrefix("$scrypt$ln=15,r=8,p="))
        #expect(try await hasher.check("correct horse", against: stored).isRight)
        #expect(try await !hasher.check("correct horsf", against: stored).isRight)
        #expect(try await !hasher.check("correct horse", against: nil).isRight)
        #expect(try await !hasher.check("", against: "nonsense").isRight)
    }

    @Test func theSamePasswordHasAnotherHashEachTime() async throws {
        #expect(try await hasher.hash("x") != hasher.hash("x"))
    }

    @Test func theSameLettersAreTheSamePasswordHoweverAKeyboardComposesThem() async throws {
        let (composed, decomposed) = ("Gr\u{FC}\u{DF}e", "Gru\u{308}\u{DF}e")
        let stored = try await hasher.hash(decomposed)
        #expect(try await hasher.check(composed, against: stored).isRight)
        #expect(try await hasher.check(decomposed, against: stored).rehashed == nil)
        #expect(try await !hasher.check("GR\u{DC}\u{DF}E", against: stored).isRight)
        #expect(try await hasher.check("a b", against: hasher.hash("a\u{3000}b")).isRight)
    }

    @Test func aHashOfBeforeIsGoodUntilItIsSeenAndThenPrepared() async throws {
        let (composed, decomposed) = ("Gr\u{FC}\u{DF}e", "Gru\u{308}\u{DF}e")
        let old = try PasswordHash.make(decomposed, logN: 15, passes: 3).text
        #expect(try await !hasher.check(composed, against: old).isRight)
        let check = try await hasher.check(decomposed, against: old)
        let better = try #require(check.rehashed)
        #expect(check.isRight)
        #expect(try await hasher.check(composed, against: better).isRight)
    }

    @Test func aWeakerHashIsMadeAnewWhenItsPasswordIsSeen() async throws {
        let weak = try PasswordHash.make("old", logN: 10, passes: 1).text
        let check = try await hasher.check("old", against: weak)
        #expect(check.isRight)
        let better = try #require(check.rehashed)
        #expect(try await hasher.check("old", against: better).isRight)
        #expect(try await hasher.check("wrong", against: weak).rehashed == nil)
    }

    /// A busy machine measured fewer passes, and replaced strong hashes with weak ones at the next sign-in.
    @Test func aStrongerHashIsNeverReplacedAndIsThePolicyFromThenOn() async throws {
        let strong = try PasswordHash.make("old", logN: 15, passes: 5).text
        #expect(try await hasher.check("old", against: strong).rehashed == nil)
        // Everybody's takes as long from then on, and so does an account that does not exist.
        let weaker = try PasswordHash.make("other", logN: 15, passes: 3).text
        let better = try #require(try await hasher.check("other", against: weaker).rehashed)
        #expect(PasswordHash(better)?.passes == 5)
        #expect(try await hasher.hash("new").contains(",p=5$"))
        // What a database asks for has its bound, and is not weakened either.
        let extreme = try PasswordHash.make("x", logN: 15, passes: 9).text
        #expect(try await hasher.check("x", against: extreme).rehashed == nil)
        #expect(try await hasher.hash("new").contains(",p=6$"))
    }

    @Test func aNewHashHasThreePassesHoweverBusyTheMachineIs() async throws {
        #expect(try await PasswordHasher().hash("x").hasPrefix("$scrypt$ln=15,r=8,p=3$"))
    }

    /// RFC 7914, section 12: the beginning of the second vector's 64 bytes.
    @Test func theHashIsScryptAsInRFC7914() throws {
        let hash = try PasswordHash.derive("password", Array("NaCl".utf8), 10, 16)
        #expect(hash.prefix(8) == [0xFD, 0xBA, 0xBE, 0x1C, 0x9D, 0x34, 0x72, 0x00])
    }

    @Test func hashesThatAskForTooMuchAreNotTried() {
        for text in [
            "$scrypt$ln=30,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$x", "$scrypt$ln=15,r=8,p=99$AAAAAAAAAAA$x", "", "$$$$",
        ] {
            #expect(PasswordHash(text) == nil)
        }
    }

    @Test func aFloodIsRefusedInsteadOfQueuedWithoutEnd() async throws {
        let stored = try PasswordHash.make("x", logN: 10, passes: 1).text
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<400 {
                group.addTask { [hasher] in
                    do { return try await hasher.check("y", against: stored).isRight == false } catch { return false }
                }
            }
            return await group.reduce(into: (answered: 0, refused: 0)) {
                if $1 { $0.answered += 1 } else { $0.refused += 1 }
            }
        }
        #expect(outcomes.answered >= 64 && outcomes.answered + outcomes.refused == 400)
    }

    @Test func base64IsRFC4648() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")] {
            #expect(Base64.text(Array(bytes.utf8)) == text)
            #expect(Base64.bytes(text) == Array(bytes.utf8))
        }
        #expect(Base64.url([0xFB, 0xFF]) == "-_8")
    }
}
