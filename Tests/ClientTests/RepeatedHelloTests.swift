import EndToEnd
import Model
import Testing
import Wire

@testable import Client
@testable import SessionHost

/// A guest that was let in says hello again: its own client does after an answer was lost, and a relay can repeat an old one.
struct RepeatedHelloTests {
    /// The host gets a hello for the first code in the name of a guest that has a seat.
    private func sayHello(_ stage: Stage, for guest: Int) {
        let invitation = ShareInvitation(code: stage.codes[0].code, secret: stage.codes[0].words)
        let handshake = GuestHandshake(sessionId: "s", permission: .control, invitation: invitation)
        var message = ServerMessage(.keyExchange)
        message.fromPeerId = "p\(guest)"
        message.payload = handshake.hello.payload
        stage.carryOut(stage.host.received(message))
    }

    @Test func aHelloTakesNothingFromAGuestThatIsLetIn() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        sayHello(stage, for: guest)
        stage.output("goes on\r\n")
        stage.type("ls", guest)
        #expect(stage.shows(guest) && stage.typed == Array("ls".utf8))
    }

    @Test func aGuestThatSaidHelloAgainIsStillLockedOutWhenItGoes() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        sayHello(stage, for: guest)
        let epoch = stage.host.sealer.epoch
        stage.carryOut(stage.host.kick("p\(guest)"))
        stage.settle()
        #expect(stage.host.sealer.epoch == epoch + 1)
    }

    @Test func aProofThatIsNeverFinishedCountsAndTheGuestStays() {
        let stage = Stage()
        let guest = stage.join()
        stage.settle()
        sayHello(stage, for: guest)
        let number = stage.host.guests["p\(guest)"]?.proofs ?? 0
        stage.carryOut(stage.host.fired(.proof(peerId: "p\(guest)", number: number)))
        #expect(stage.host.people.count == 1 && stage.endings[guest] == nil)
        #expect(stage.host.codes[stage.codes[0].code]?.failures == 1)
        stage.output("goes on\r\n")
        #expect(stage.shows(guest))
    }

    @Test func aGuestThatProvesAgainAndWaitsForAYesReadsNothingMeanwhile() {
        let stage = Stage(.init(approve: true))
        let guest = stage.join()
        stage.carryOut(stage.host.decide(peerId: "p\(guest)", admit: true))
        stage.settle()
        let epoch = stage.host.sealer.epoch
        // Its client starts anew in the same seat.
        stage.sayHello(guest)
        stage.settle()
        #expect(stage.host.admitted.isEmpty && stage.host.sealer.epoch == epoch + 1)
        stage.carryOut(stage.host.decide(peerId: "p\(guest)", admit: true))
        stage.settle()
        stage.output("goes on\r\n")
        #expect(stage.shows(guest))
    }
}
