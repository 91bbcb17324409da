import EndToEnd
import Model
import NIOCore
import Terminal
import Testing
import Wire

@testable import Client
@testable import SessionHost

@Suite struct EngineTests {
    @Test func aGuestSeesWhatCameBeforeAndAfterItAndTypes() {
        let stage = Stage()
        stage.output("before\r\n")
        let guest = stage.join(name: "Carla")
        stage.settle()
        stage.output("after\r\n")
        stage.settle()
        #expect(stage.shows(guest) && stage.screens[guest].text[1] == "after")
        stage.type("ls\n", guest)
        #expect(stage.typed == Array("ls\n".utf8))
        #expect(stage.notices.contains(.guestJoined(peerId: "p0", name: "Carla (user0)", permission: .control)))
    }

    @Test func whatIsTypedWhileTheHostIsAwayArrivesWhenItIsBack() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        stage.hostWent(guest)
        stage.type("ls\n", guest)
        stage.settle()
        #expect(stage.typed.isEmpty)
        stage.hostReturned(guest)
        stage.settle()
        #expect(stage.typed == Array("ls\n".utf8) && stage.guests[guest].lostInput == 0)
    }

    @Test func whatIsTypedWhileAGuestIsLetInAgainArrives() {
        let stage = Stage(.init(approve: true))
        let guest = stage.join()
        stage.settle()
        stage.carryOut(stage.host.decide(peerId: "p0", admit: true))
        stage.settle()
        stage.carryOut(stage.host.forget("p0"))
        stage.announce(guest)
        stage.hostReturned(guest)
        stage.settle()
        stage.type("ls\n", guest)
        stage.settle()
        #expect(stage.typed.isEmpty)
        stage.carryOut(stage.host.decide(peerId: "p0", admit: true))
        stage.settle()
        #expect(stage.typed == Array("ls\n".utf8) && stage.guests[guest].lostInput == 0)
    }

    @Test func aReadGuestCannotType() {
        let stage = Stage()
        let guest = stage.join(.read)
        stage.settle()
        stage.type("ls\n", guest)
        #expect(stage.typed.isEmpty && stage.guests[guest].permission == .read)
    }

    @Test func wrongWordsAreCountedAndKillTheCode() {
        let stage = Stage()
        for attempt in 0..<5 {
            let guest = stage.join(words: .words("wrong-words"))
            #expect(stage.endings[guest] == .rejected(.wrongSecret), "attempt \(attempt)")
        }
        #expect(stage.notices.contains(.codeDied(stage.codes[0].code)))
        let honest = stage.join()
        #expect(stage.endings[honest] == .rejected(.codeDead))
        #expect(stage.endings[stage.join(.read)] == nil)
    }

    @Test func aRelayThatOffersAgainAndAgainGetsOneProofPerHelloAndFiveInAll() throws {
        let codes = CodeSecrets(code: ShareCodeId.random(), permission: .control)
        let guest = GuestEngine(
            invitation: ShareInvitation(code: codes.code, secret: codes.words), token: "t", name: "")
        _ = guest.opened()
        var ack = ServerMessage.ack(.text("join"))
        ack.sessionId = "s"
        ack.permission = .control
        var actions = guest.received(ack)
        var proofs = 0
        for _ in 0..<6 {
            guard case .text(let text)? = actions.first, let payload = text.payload else { break }
            // The relay tries a guess of its own with each offer, and makes the guest say hello again.
            let hello = try HandshakeMessage(payload: payload)
            for _ in 0..<3 {
                let impostor = try HostHandshake(
                    hello: hello, sessionId: "s", permission: .control, secret: .words("a-guess"))
                var event = ServerMessage(.keyExchange)
                event.payload = impostor.offer.payload
                let answer = guest.received(event)
                if answer == [.finish(.impostor)] {
                    #expect(proofs == 5)
                    return
                }
                proofs += answer.count
            }
            var returned = ServerMessage(.peerReturned)
            returned.isHost = true
            actions = guest.received(returned)
        }
        Issue.record("the guest went on after \(proofs) proofs")
    }

    @Test func aRemovedGuestIsRemovedEvenIfTheRelayDoesNotListen() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        // The kick is thrown away; the guest goes on typing and listening.
        let actions = stage.host.kick("p0").filter { if case .text = $0 { false } else { true } }
        stage.carryOut(actions)
        stage.settle()
        stage.type("rm\n", guest)
        let before = stage.raw[guest].count
        stage.output("secret\r\n")
        stage.settle()
        #expect(stage.typed.isEmpty && stage.raw[guest].count == before)
    }

    @Test func tenGuestsThatComeAtOnceDoNotKillTheCode() throws {
        let stage = Stage()
        let codes = stage.codes[0]
        var handshakes: [GuestHandshake] = []
        for index in 0..<10 {
            var joined = ServerMessage(.guestJoined)
            joined.peerId = "q\(index)"
            joined.slot = Slot(100 + index)
            _ = stage.host.received(joined)
            handshakes.append(
                GuestHandshake(
                    sessionId: "s", permission: .control,
                    invitation: ShareInvitation(code: codes.code, secret: codes.words)))
        }
        func say(_ message: HandshakeMessage, _ index: Int) -> HandshakeMessage? {
            var event = ServerMessage(.keyExchange)
            event.fromPeerId = "q\(index)"
            event.payload = message.payload
            for case .text(let text) in stage.host.received(event) {
                return text.payload.flatMap { try? HandshakeMessage(payload: $0) }
            }
            return nil
        }
        let offers = handshakes.indices.map { say(handshakes[$0].hello, $0) }
        for index in handshakes.indices {
            guard case .offer(let nonce, let point, let echo)? = offers[index],
                let proof = try handshakes[index].receive(offerNonce: nonce, point: point, guestNonce: echo),
                case .accept? = say(proof, index)
            else {
                Issue.record("guest \(index) was refused")
                return
            }
        }
    }

    @Test func whoLeftCannotOpenWhatComesAfter() {
        let stage = Stage()
        let (leaver, other) = (stage.join(), stage.join())
        stage.settle()
        stage.output("together\r\n")
        stage.settle()
        stage.leave(leaver)
        stage.settle()
        // The relay goes on sending to it all the same.
        var captured: [ByteBuffer] = []
        for case .frame(let frame) in stage.host.output(Array("secret\r\n".utf8)) + stage.host.outputPaused() {
            captured.append(frame)
            stage.carryOut([.frame(frame)])
        }
        let shown = captured.flatMap { stage.guests[leaver].received($0) }.contains {
            if case .show = $0 { true } else { false }
        }
        #expect(!captured.isEmpty && !shown && stage.shows(other))
    }

    @Test func whoHadOnlyBeenAnnouncedWhenTheHostsConnectionChangedGetsItsScreen() {
        let stage = Stage()
        stage.output("before\r\n")
        stage.announce(0)
        stage.hostDropsAndReturns()
        let guest = stage.join()
        stage.settle()
        #expect(stage.shows(guest))
    }

    @Test func aGuestThatFellBehindGoesOnFromASnapshot() {
        let stage = Stage()
        let (slow, quick) = (stage.join(), stage.join())
        stage.settle()
        stage.fallBehind(slow)
        for number in 0..<500 { stage.output("line \(number)\r\n") }
        stage.settle()
        #expect(stage.shows(quick) && !stage.shows(slow))
        stage.warn(slow)
        stage.settle()
        stage.output("on\r\n")
        stage.settle()
        #expect(stage.shows(slow) && stage.shows(quick))
    }

    @Test func aHostWhoseUplinkIsFullSkipsToASnapshot() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        stage.carryOut(stage.host.uplink(takesMore: false))
        let before = stage.raw[guest].count
        for number in 0..<2000 { stage.output("line \(number)\r\n") }
        #expect(stage.raw[guest].count == before)
        stage.carryOut(stage.host.uplink(takesMore: true))
        stage.settle()
        #expect(stage.shows(guest))
    }

    @Test func aGuestThatJoinsWhileTheUplinkIsFullGetsItsSnapshotWhenItOpens() {
        let stage = Stage()
        stage.output("before\r\n")
        stage.carryOut(stage.host.uplink(takesMore: false))
        let guest = stage.join()
        stage.settle()
        #expect(!stage.shows(guest))
        stage.carryOut(stage.host.uplink(takesMore: true))
        #expect(stage.shows(guest))
    }

    @Test func losslessPausesTheCommandUntilTheSlowestGuestHasSeenIt() {
        let stage = Stage(.init(lossless: true))
        let guest = stage.join()
        stage.settle()
        let start = stage.raw[guest].count
        let block = String(repeating: "x", count: 16_000)
        for _ in 0..<500 { stage.output(block) }
        stage.settle()
        // It acknowledges at once here: nothing pauses, and nothing is missing.
        #expect(stage.reading && stage.raw[guest].count - start == 500 * 16_000)
        stage.fallBehind(guest)
        for _ in 0..<100 where stage.reading { stage.output(block) }
        #expect(!stage.reading)
        stage.leave(guest)
        stage.settle()
        #expect(stage.reading)
    }

    @Test func aGuestThatLeftWhileTheHostWasAwayIsForgottenAndHoldsNobodyUp() {
        let stage = Stage(.init(lossless: true))
        stage.join()
        stage.settle()
        stage.output("before")
        stage.carryOut(stage.host.disconnected())
        // The relay came back without that guest: it is not announced.
        stage.carryOut(stage.host.connected(fromSequence: 0))
        stage.settle()
        #expect(stage.host.people.isEmpty)
        stage.output(String(repeating: "x", count: 3 << 20))
        #expect(stage.reading)
    }

    @Test func aDropInsideTheAnnouncementsForgetsNobody() {
        let stage = Stage()
        stage.join()
        stage.settle()
        stage.hostDropsAndReturns()
        stage.carryOut(stage.host.disconnected())
        stage.settle()
        #expect(stage.host.people.count == 1)
    }

    @Test func theDeadlineOfAnEarlierConnectionForgetsNobodyWhoIsStillToBeAnnounced() {
        let stage = Stage(.init(lossless: true))
        stage.join()
        stage.settle()
        stage.hostDropsAndReturns()
        stage.announce(0)
        stage.hostDropsAndReturns()
        // The first connection's timer runs out between the answer and the announcements of the second.
        stage.fireOldest()
        #expect(stage.host.people.count == 1)
    }

    @Test func aGuestThatTheHostForgotProvesItselfAgainAndGoesOnFromASnapshot() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        stage.output("before")
        stage.hostDropsAndReturns()
        stage.settle()
        #expect(stage.host.people.isEmpty)
        stage.announce(guest)
        stage.hostReturned(guest)
        stage.settle()
        stage.output(" and after")
        #expect(stage.host.people.count == 1)
        #expect(stage.endings[guest] == nil)
        #expect(stage.shows(guest))
    }

    @Test func aGuestThatIsAnnouncedButNotBackYetKeepsItsClaimToASnapshot() {
        let stage = Stage()
        stage.join()
        stage.settle()
        stage.carryOut(stage.host.disconnected())
        stage.output("nobody hears this")
        stage.carryOut(stage.host.connected(fromSequence: 0))
        stage.announce(0)
        stage.carryOut(stage.host.uplink(takesMore: false))
        stage.carryOut(stage.host.uplink(takesMore: true))
        stage.settle()
        #expect(stage.host.guests["p0"]?.needsSnapshot == true)
    }

    @Test func resizesReachGuestsInOrderWithTheOutput() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        stage.output("0123456789\r\n")
        stage.carryOut(stage.host.resized(rows: 10, columns: 40))
        stage.output("\u{1B}[2J\u{1B}[10;40Hx")
        stage.settle()
        #expect(stage.screens[guest].rows == 10 && stage.screens[guest].columns == 40 && stage.shows(guest))
    }

    @Test func approvalKeepsAGuestOutsideUntilItIsGiven() {
        let stage = Stage(.init(approve: true))
        let guest = stage.join()
        stage.settle()
        stage.output("secret\r\n")
        stage.type("ls\n", guest)
        #expect(stage.raw[guest].isEmpty && stage.typed.isEmpty)
        stage.carryOut(stage.host.decide(peerId: "p0", admit: true))
        stage.settle()
        #expect(stage.shows(guest))
        let refused = stage.join()
        stage.carryOut(stage.host.decide(peerId: "p1", admit: false))
        #expect(stage.endings[refused] == .rejected(.notApproved))
    }

    @Test func aFlippedBitOnTheWayShowsNothingAndEndsTheGuest() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        guard case .frame(var frame)? = stage.host.output(Array("x".utf8)).first else { return }
        frame.setInteger(frame.getInteger(at: 17, as: UInt8.self).map { $0 ^ 1 } ?? 0, at: 17)
        #expect(stage.guests[guest].received(frame) == [.finish(.tampering("a message was changed in transit"))])
    }
}
