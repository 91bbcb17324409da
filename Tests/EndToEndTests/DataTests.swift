import EndToEnd
import Model
import NIOCore
import Testing
import Wire

@Suite struct PairwiseTests {
    @Test func anyFlippedBitIsRefused() throws {
        let couple = try Couple()
        let host = couple.hostPairing.channel()
        let frame = try couple.guestPairing.channel().sealInput(Array("ls".utf8))
        let bytes = Array(frame.readableBytesView)
        for bit in 0..<bytes.count * 8 {
            // The slot is the relay's to write; it is bound by the key, which belongs to one guest.
            if (16..<32).contains(bit) { continue }
            #expect(throws: (any Error).self, "bit \(bit)") {
                try host.openFromGuest(ByteBuffer(bytes: flipped(bytes, bit)))
            }
        }
        #expect(try host.openFromGuest(frame) == .input(Array("ls".utf8)))
    }

    @Test func replayReorderAndRemovalAreRefused() throws {
        let couple = try Couple()
        let host = couple.hostPairing.channel()
        let guest = couple.guestPairing.channel()
        let frames = try (UInt8(1)...4).map { try guest.sealInput([$0]) }
        #expect(try host.openFromGuest(frames[0]) == .input([1]))
        #expect(throws: EndToEndError.replayed) { try host.openFromGuest(frames[0]) }
        // One is missing: neither it nor anything behind it is typed.
        #expect(throws: EndToEndError.gap) { try host.openFromGuest(frames[2]) }
        #expect(throws: EndToEndError.gap) { try host.openFromGuest(frames[3]) }
        #expect(try host.openFromGuest(frames[1]) == .input([2]))
    }

    @Test func feedbackAndTheHostsOwnFramesAreConsecutiveToo() throws {
        let couple = try Couple()
        let (host, guest) = (couple.hostPairing.channel(), couple.guestPairing.channel())
        _ = guest.seal(.snapshotRequest)
        let second = guest.seal(.acknowledge(sequence: 1))
        #expect(throws: EndToEndError.gap) { try host.openFromGuest(second) }
        _ = host.seal(.approvalPending, to: 1)
        let third = host.seal(.inputTaken(total: 7), to: 1)
        #expect(throws: EndToEndError.gap) { try guest.openFromHost(third) }
    }

    @Test func truncatedFramesAreRefused() throws {
        let couple = try Couple()
        let host = couple.hostPairing.channel()
        let frame = try couple.guestPairing.channel().sealInput(Array("hello".utf8))
        for length in 0..<frame.readableBytes {
            let cut = frame.getSlice(at: 0, length: length)!
            #expect(throws: length < 32 ? EndToEndError.truncated : .notAuthentic) { try host.openFromGuest(cut) }
        }
    }

    @Test func twoGuestsFramesCannotBeSwapped() throws {
        let one = try Couple()
        let other = try Couple()
        let frame = try one.guestPairing.channel().sealInput([1])
        #expect(throws: EndToEndError.notAuthentic) { try other.hostPairing.channel().openFromGuest(frame) }
    }

    @Test func directionsCannotBeSwapped() throws {
        let couple = try Couple()
        let host = couple.hostPairing.channel()
        let guest = couple.guestPairing.channel()
        #expect(throws: EndToEndError.wrongDirection) { try host.openFromGuest(host.seal(.approvalPending, to: 1)) }
        #expect(throws: EndToEndError.wrongDirection) { try guest.openFromHost(guest.seal(.snapshotRequest)) }
        // The same bytes under the other direction's kind do not open either.
        var frame = host.seal(.approvalPending, to: 1)
        frame.setInteger(FrameKind.feedback.rawValue, at: 1)
        #expect(throws: EndToEndError.notAuthentic) { try host.openFromGuest(frame) }
    }

    @Test func aReadSecretHasNoInputKeyOnEitherSide() throws {
        let couple = try Couple(.read)
        let host = couple.hostPairing.channel()
        let guest = couple.guestPairing.channel()
        #expect(throws: EndToEndError.inputNotAllowed) { try guest.sealInput([1]) }
        // Not even when the guest passes feedback off as input.
        var frame = guest.seal(.acknowledge(sequence: 1))
        frame.setInteger(FrameKind.input.rawValue, at: 1)
        #expect(throws: EndToEndError.inputNotAllowed) { try host.openFromGuest(frame) }
    }
}

@Suite struct BroadcastTests {
    private func opener(_ sealer: borrowing BroadcastSealer) throws -> BroadcastOpener {
        var opener = try BroadcastOpener(sessionId: "s", signingKey: sealer.signingKey)
        opener.addEpoch(sealer.epoch, key: sealer.epochKey)
        opener.reset(
            to: .init(sequence: sealer.lastSequence, runningHash: sealer.runningHash, rows: 24, columns: 80, output: [])
        )
        return opener
    }

    @Test func outputIsGivenOutOnceItIsSignedAndNotBefore() throws {
        var sealer = BroadcastSealer(sessionId: "s")
        var opener = try opener(sealer)
        let frames = sealer.seal(.output([1])) + sealer.seal(.size(rows: 2, columns: 3))
        for frame in frames { #expect(try opener.open(frame).isEmpty) }
        let signature = sealer.sign()
        #expect(try opener.open(signature[0]) == [.output([1]), .size(rows: 2, columns: 3)])
        #expect(sealer.sign().isEmpty)
    }

    @Test func aLongBurstIsSignedOnTheWay() throws {
        var sealer = BroadcastSealer(sessionId: "s")
        var opener = try opener(sealer)
        var received = 0
        for _ in 0..<64 {
            for frame in sealer.seal(.output(Array(repeating: 1, count: 16 << 10))) {
                received += try opener.open(frame).count
            }
        }
        #expect(received >= 60)
    }

    @Test func aGuestWithTheEpochKeyCannotForgeOutput() throws {
        var sealer = BroadcastSealer(sessionId: "s")
        var victim = try opener(sealer)
        // The forger's own sealer has another signing key; give the victim frames that open under its epoch key.
        var forger = BroadcastSealer(sessionId: "s")
        victim.addEpoch(forger.epoch, key: forger.epochKey)
        for frame in forger.seal(.output(Array("rm -rf".utf8))) { #expect(try victim.open(frame).isEmpty) }
        let signature = forger.sign()
        #expect(throws: EndToEndError.forged) { try victim.open(signature[0]) }
        _ = sealer.sign()
    }

    @Test func gapReplayAndUnknownEpochAreToldApart() throws {
        var sealer = BroadcastSealer(sessionId: "s")
        var opener = try opener(sealer)
        let first = sealer.seal(.output([1]))[0]
        let second = sealer.seal(.output([2]))[0]
        #expect(throws: EndToEndError.gap) { try opener.open(second) }
        #expect(try opener.open(first).isEmpty)
        #expect(throws: EndToEndError.replayed) { try opener.open(first) }
        #expect(try opener.open(second).isEmpty)
        for frame in sealer.startEpoch() { _ = try opener.open(frame) }
        let third = sealer.seal(.output([3]))[0]
        #expect(throws: EndToEndError.unknownEpoch(2)) { try opener.open(third) }
        opener.addEpoch(2, key: sealer.epochKey)
        #expect(try opener.open(third).isEmpty)
    }

    @Test func newcomerCannotOpenThePastAndLeaverCannotOpenTheFuture() throws {
        var sealer = BroadcastSealer(sessionId: "s")
        var leaver = try opener(sealer)
        let past = sealer.seal(.output([1]))[0]
        _ = try leaver.open(past)
        for frame in sealer.startEpoch() { _ = try leaver.open(frame) }
        var newcomer = try BroadcastOpener(sessionId: "s", signingKey: sealer.signingKey)
        newcomer.addEpoch(sealer.epoch, key: sealer.epochKey)
        newcomer.reset(
            to: .init(sequence: 0, runningHash: Array(repeating: 0, count: 32), rows: 1, columns: 1, output: []))
        #expect(throws: EndToEndError.unknownEpoch(1)) { try newcomer.open(past) }
        let future = sealer.seal(.output([2]))[0]
        #expect(throws: EndToEndError.unknownEpoch(2)) { try leaver.open(future) }
    }

    @Test func anyFlippedBitOfABroadcastIsRefused() throws {
        var sealer = BroadcastSealer(sessionId: "s")
        let opener = try opener(sealer)
        let bytes = Array(sealer.seal(.output([1, 2, 3]))[0].readableBytesView)
        for bit in 0..<bytes.count * 8 {
            if (16..<32).contains(bit) { continue }
            var copy = opener
            #expect(throws: (any Error).self, "bit \(bit)") { try copy.open(ByteBuffer(bytes: flipped(bytes, bit))) }
        }
    }

    @Test func aFlippedSlotIsCaughtByTheSignature() throws {
        // The slot is not in the associated data, but it is in what the host signs.
        var sealer = BroadcastSealer(sessionId: "s")
        var opener = try opener(sealer)
        let bytes = Array(sealer.seal(.output([1]))[0].readableBytesView)
        _ = try opener.open(ByteBuffer(bytes: flipped(bytes, 16)))
        let signature = sealer.sign()
        #expect(throws: EndToEndError.forged) { try opener.open(signature[0]) }
    }
}
