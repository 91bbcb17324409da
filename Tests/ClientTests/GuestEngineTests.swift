import EndToEnd
import Model
import Testing
import Wire

@testable import SessionHost

/// What a guest makes of answers that come late or out of turn.
@Suite struct GuestEngineTests {
    private let codes = CodeSecrets(code: ShareCodeId.random(), permission: .control)

    private func joined() -> GuestEngine {
        let engine = GuestEngine(
            invitation: ShareInvitation(code: codes.code, secret: codes.words), token: "t", name: "")
        _ = engine.opened()
        _ = engine.received(ack("join", resume: "r"))
        return engine
    }

    private func ack(_ id: String, resume: String? = nil, error: String? = nil) -> ServerMessage {
        var ack = ServerMessage.ack(.text(id), error: error)
        if error == nil { ack.sessionId = "s" }
        ack.permission = .control
        ack.resumeToken = resume
        return ack
    }

    private func exchange(_ message: HandshakeMessage) -> ServerMessage {
        var text = ServerMessage(.keyExchange)
        text.payload = message.payload
        return text
    }

    /// The host's answer to a proof on a connection that is gone is no sign of a false server.
    @Test func anAcceptanceOfAnEarlierProofIsIgnored() {
        let engine = joined()
        _ = engine.closed(code: nil, reason: "")
        _ = engine.opened()
        _ = engine.received(ack("resume"))
        let actions = engine.received(exchange(.accept(confirmation: [UInt8](repeating: 1, count: 32))))
        #expect(actions.isEmpty)
    }

    /// Two rekeys under way have two refusals; the second comes when the guest proves itself again.
    @Test func aSecondRefusalOfARekeyIsIgnored() {
        let engine = joined()
        #expect(engine.received(exchange(.reject(.notPaired))).isEmpty)
    }

    @Test func aJoinThatIsRefusedIsAFailureUnlessTheHostHasSignedTheEnd() {
        for (end, ending) in [
            (nil, GuestEnding.refused("Session has ended")), (GuestEngine.SignedEnd.exited(7), .ended(status: 7)),
        ] {
            let engine = joined()
            engine.signedEnd = end
            _ = engine.closed(code: nil, reason: "")
            _ = engine.opened()
            _ = engine.received(ack("resume", error: "Resume window passed"))
            _ = engine.received(ack("resume", error: "Resume window passed"))
            #expect(engine.received(ack("join", error: "Session has ended")) == [.finish(ending)])
        }
    }
}
