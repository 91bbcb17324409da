import NIOCore
import Telemetry
import WebSocket
import Wire

/// How a peer comes to its seat.
extension PeerHandler {
    func begin(_ message: ClientMessage, ack: MessageId?) {
        guard let context else { return }
        let loop = context.eventLoop
        let authority = self.authority
        let address = self.address
        switch message {
        case .joinAsHost(let token, let sessionId, let binary):
            join(binary: binary, ack: ack) {
                await authority.admitHost(token: token, sessionId: sessionId, from: address)
            } then: { handler, admission, link in
                // No room: the session ended while the question was on its way.
                guard let room = handler.relay.find(admission.sessionId) else {
                    return handler.refused(ack, "Session has ended")
                }
                room.run { $0.joinHost(admission, link: link, ack: ack) }
            }
        case .joinAsGuest(let token, let code, let publicKey, let binary):
            join(binary: binary, ack: ack) {
                await authority.admitGuest(token: token, code: code, publicKey: publicKey, from: address)
            } then: { handler, admission, link in
                guard let room = handler.relay.find(admission.sessionId) else {
                    Task { await authority.seatGivenUp(peerId: admission.peerId) }
                    return handler.refused(ack, "Session has ended")
                }
                room.run { $0.joinGuest(admission, publicKey: publicKey, link: link, ack: ack) }
            }
        case .resume(let token, let lastSequence, let binary):
            let sessionId = String(token.prefix { $0 != "." })
            guard let room = relay.find(sessionId) else { return refused(ack, "Resume window passed") }
            let link = PeerLink(self, loop: loop, dialect: speak(binary: binary))
            state = .joining(held: [])
            room.run { $0.resume(token: token, lastSequence: lastSequence, link: link, ack: ack) }
        case .relay: say(.ack(ack, error: "Not connected to a session"))
        case .keyExchange, .kick, .endSession: say(.ack(ack, error: "Not connected"))
        }
    }

    /// Socket.IO has no binary frames, whatever its client says.
    private func speak(binary: Bool) -> PeerDialect {
        if dialect != .socketIO { dialect = binary ? .frames : .json }
        return dialect
    }

    private func join<Admission: Sendable>(
        binary: Bool, ack: MessageId?, ask: @escaping @Sendable () async -> Result<Admission, RelayRefusal>,
        then enter: @escaping (PeerHandler, Admission, PeerLink) -> Void
    ) {
        guard let loop = context?.eventLoop else { return }
        let dialect = speak(binary: binary)
        state = .joining(held: [])
        let promise = loop.makePromise(of: Result<Admission, RelayRefusal>.self)
        promise.completeWithTask(ask)
        promise.futureResult.assumeIsolated().whenSuccess { result in
            switch result {
            // Also when the socket has closed meanwhile: the seat is taken and must be given back, which `seated` does.
            case .success(let admission): enter(self, admission, PeerLink(self, loop: loop, dialect: dialect))
            case .failure(let refusal):
                self.refused(ack, refusal.message)
                if refusal.closeCode == CloseCode.rateLimited {
                    self.close(code: refusal.closeCode, reason: refusal.message)
                }
            }
        }
    }

    // MARK: From the room

    func seated(_ seat: Seat, awaitsSnapshot: Bool) {
        guard case .joining(let held) = state else {
            return seat.room.run { $0.disconnected(slot: seat.slot, attachment: seat.attachment, deliberate: true) }
        }
        joinBy = nil
        outbox = PeerOutbox(capacity: RelayConfiguration.outboxBytes, awaitsSnapshot: awaitsSnapshot)
        state = .seated(seat)
        relay.metrics.peers.add(1)
        held.forEach(receive)
    }

    func refused(_ ack: MessageId?, _ error: String) {
        let held: [WebSocketMessage]
        switch state {
        case .new: held = []
        case .joining(let waiting): held = waiting
        case .seated, .closing: return
        }
        state = .new
        say(.ack(ack, error: error))
        joinBy = .now() + .seconds(WireLimits.firstMessageSeconds)
        held.forEach(receive)
    }
}
