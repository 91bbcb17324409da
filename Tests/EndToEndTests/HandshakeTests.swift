import EndToEnd
import Model
import NIOCore
import Testing
import Wire

/// A host and a guest that exchange messages in memory.
struct Couple {
    var codes: CodeSecrets
    var hostPairing: Pairing
    var guestPairing: Pairing

    init(_ permission: Permission = .control, session: String = "session", useLink: Bool = false) throws {
        codes = CodeSecrets(code: ShareCodeId.random(), permission: permission)
        let secret = useLink ? codes.link : codes.words
        (hostPairing, guestPairing) = try Self.shakeHands(codes, secret, permission, permission, session, session)
    }

    static func shakeHands(
        _ codes: CodeSecrets, _ guestSecret: ShareSecret, _ hostPermission: Permission, _ guestPermission: Permission,
        _ hostSession: String, _ guestSession: String
    ) throws -> (Pairing, Pairing) {
        let invitation = ShareInvitation(code: codes.code, secret: guestSecret)
        var guest = GuestHandshake(sessionId: guestSession, permission: guestPermission, invitation: invitation)
        let hello = try HandshakeMessage(payload: guest.hello.payload)
        guard case .hello(let kind, _, _) = hello, let secret = codes.secret(kind: kind) else {
            throw EndToEndError.malformed
        }
        let host = try HostHandshake(hello: hello, sessionId: hostSession, permission: hostPermission, secret: secret)
        guard case .offer(let nonce, let point, let echo) = host.offer,
            case .proof(let guestPoint, let tag)? = try guest.receive(offerNonce: nonce, point: point, guestNonce: echo)
        else { throw EndToEndError.malformed }
        let (hostPairing, accept) = try host.receive(point: guestPoint, confirmation: tag)
        guard case .accept(let confirmation) = accept else { throw EndToEndError.malformed }
        return (hostPairing, try guest.receive(confirmation: confirmation))
    }
}

@Suite struct HandshakeTests {
    @Test(arguments: [false, true]) func rightSecretPairsAndCarriesBothWays(useLink: Bool) throws {
        let couple = try Couple(useLink: useLink)
        let host = couple.hostPairing.channel()
        let guest = couple.guestPairing.channel()
        #expect(try host.openFromGuest(guest.sealInput([1, 2, 3])) == .input([1, 2, 3]))
        #expect(try host.openFromGuest(guest.seal(.snapshotRequest)) == .feedback(.snapshotRequest))
        #expect(try guest.openFromHost(host.seal(.approvalPending, to: 1)) == .approvalPending)
    }

    @Test func wrongWordsAreRefusedByTheHost() throws {
        let codes = CodeSecrets(code: ShareCodeId.random(), permission: .control)
        #expect(throws: EndToEndError.wrongSecret) {
            try Couple.shakeHands(codes, .words("no-way"), .control, .control, "s", "s")
        }
    }

    @Test func aRelayThatPromisesControlForAReadCodeIsRefused() throws {
        let codes = CodeSecrets(code: ShareCodeId.random(), permission: .read)
        #expect(throws: EndToEndError.wrongSecret) {
            try Couple.shakeHands(codes, codes.words, .read, .control, "s", "s")
        }
    }

    @Test func anotherSessionWithTheSameWordsIsRefused() throws {
        let codes = CodeSecrets(code: ShareCodeId.random(), permission: .read)
        #expect(throws: EndToEndError.wrongSecret) {
            try Couple.shakeHands(codes, codes.words, .read, .read, "s", "other")
        }
    }

    @Test func guestRefusesAHostThatDoesNotKnowTheSecret() throws {
        let codes = CodeSecrets(code: ShareCodeId.random(), permission: .read)
        var guest = GuestHandshake(
            sessionId: "s", permission: .read, invitation: ShareInvitation(code: codes.code, secret: codes.words))
        let impostor = try HostHandshake(
            hello: guest.hello, sessionId: "s", permission: .read, secret: .words("a-guess"))
        guard case .offer(let nonce, let point, let echo) = impostor.offer else { return #expect(Bool(false)) }
        _ = try guest.receive(offerNonce: nonce, point: point, guestNonce: echo)
        // A second offer would let it test a second guess.
        #expect(try guest.receive(offerNonce: nonce, point: point, guestNonce: echo) == nil)
        #expect(throws: EndToEndError.wrongSecret) { try guest.receive(confirmation: Array(repeating: 7, count: 32)) }
    }

    @Test func fiveFailedProofsOfTheWordsKillACode() {
        var codes = CodeSecrets(code: ShareCodeId.random(), permission: .read)
        for _ in 0..<4 { codes.proofFailed(kind: 0) }
        #expect(!codes.isDead(kind: 0))
        // A link's secret cannot be guessed, and its failures must not use the code up.
        for _ in 0..<100 { codes.proofFailed(kind: 1) }
        #expect(!codes.isDead(kind: 0))
        codes.proofFailed(kind: 0)
        #expect(codes.isDead(kind: 0) && !codes.isDead(kind: 1))
    }

    @Test func rekeyGivesFreshKeysAtZeroAndTheOldOnesAreStale() throws {
        let couple = try Couple()
        let oldGuest = couple.guestPairing.channel()
        let own = Pairing.Rekey()
        guard case .rekey(let key, let tag) = couple.guestPairing.rekeyRequest(own) else { return #expect(Bool(false)) }
        let (host, answer) = try couple.hostPairing.answerRekey(key: key, tag: tag, generation: 1)
        guard case .rekeyed(let generation, let hostKey, let hostTag) = answer else { return #expect(Bool(false)) }
        let guest = try couple.guestPairing.finishRekey(own, generation: generation, key: hostKey, tag: hostTag)
        #expect(try host.openFromGuest(guest.sealInput([9])) == .input([9]))
        #expect(throws: EndToEndError.staleGeneration) { try host.openFromGuest(oldGuest.sealInput([9])) }
        #expect(throws: EndToEndError.notAuthentic) {
            try couple.guestPairing.finishRekey(own, generation: 2, key: hostKey, tag: hostTag)
        }
    }

    @Test func everyBitOfEveryHandshakeMessageCounts() throws {
        let codes = CodeSecrets(code: ShareCodeId.random(), permission: .control)
        let invitation = ShareInvitation(code: codes.code, secret: codes.words)
        var guest = GuestHandshake(sessionId: "s", permission: .control, invitation: invitation)
        let host = try HostHandshake(hello: guest.hello, sessionId: "s", permission: .control, secret: codes.words)
        guard case .offer(let nonce, let point, let echo) = host.offer,
            case .proof(let guestPoint, let tag)? = try guest.receive(offerNonce: nonce, point: point, guestNonce: echo)
        else { return #expect(Bool(false)) }
        // The top bit of a coordinate is not part of it (RFC 7748, section 5), but the transcript holds it all the same.
        for bit in 0..<256 {
            #expect(throws: EndToEndError.self) { try host.receive(point: flipped(guestPoint, bit), confirmation: tag) }
            #expect(throws: EndToEndError.wrongSecret) {
                try host.receive(point: guestPoint, confirmation: flipped(tag, bit))
            }
        }
    }

    @Test func malformedHandshakesAreRefusedWithoutACrash() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<10_000 {
            let bytes = (0..<Int.random(in: 0..<100, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            if let message = try? HandshakeMessage(bytes: bytes) { #expect(message.bytes == bytes) }
        }
    }

    @Test func invitationsAreReadInEverySpelling() {
        let code = ShareCodeId("SYCLX-7K2Q9M")!
        let words = ShareInvitation(code: code, secret: .words("cactus-violin"))
        for text in [
            "SYCLX-7K2Q9M-cactus-violin", "syclx-7k2q9m-Cactus-Violin", "SYCLX7K2Q9M-cactus-violin",
            " SYCLX-7K2Q9M-cactus-violin\n", "syclx 7k2q9m cactus violin", "SYCLX 7K2Q9M  Cactus-Violin",
            "SYCLX7K2Q9M cactus violin",
        ] { #expect(ShareInvitation(text) == words, "\(text)") }
        let digits = "0123456789abcdef0123456789abcdef"
        let link = ShareInvitation(code: code, secret: .link(digits), server: "http://box:8080")
        #expect(ShareInvitation(link.link(server: "http://box:8080")) == link)
        for text in [
            "", "SYCLX-7K2Q9M", "SYCLX-7K2Q9M-cactus", "SYCLX-7K2Q9-cactus-violin", "http://box/j/SYCLX-7K2Q9M#12",
        ] {
            #expect(ShareInvitation(text) == nil, "\(text)")
        }
    }

    @Test(arguments: [
        ("cactuss-violin", "cactus"), ("cactu-violin", "cactus"), ("catcus-violin", "cactus"),
        ("cactus-viulin", "violin"),
    ])
    func aTypingMistakeInTheWordsIsNamed(words: String, meant: String) {
        #expect(ShareInvitation("SYCLX-7K2Q9M-\(words)")?.likelyMistake?.meant == meant)
    }

    /// Words of another version's list, or none at all, are for the host to judge; so is what is close to several words.
    @Test(arguments: ["cactus-violin", "xylophones-qwertz", "cactus-bea"])
    func whatMayBeRightIsNotCalledAMistake(words: String) {
        #expect(ShareInvitation("SYCLX-7K2Q9M-\(words)")?.likelyMistake == nil)
    }
}

func flipped(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
    var changed = bytes
    changed[bit / 8] ^= 1 << UInt8(bit % 8)
    return changed
}
