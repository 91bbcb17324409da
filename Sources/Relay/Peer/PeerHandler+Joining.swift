import Background
import NIOCore
import Telemetry
import WebSocket
import Wire

/// How a peer comes to its seat: it asks, moves to its room's loop, and is let in there.
extension PeerHandler {
    /// What a peer does in its room, and what happens where it never gets there.
    private struct Entrance: Sendable {
        let enter: @Sendable (LiveRoom, PeerHandler) -> Void
        let lost: @Sendable () -> Void
    }

    func begin(_ message: ClientMessage, ack: MessageId?) {
        let (authority, background, address) = (relay.authority, relay.background, self.address)
        switch message {
        case .joinAsHost(let token, let sessionId, let binary):
            join(binary: binary, ack: ack) {
                await authority.admitHost(token: token, sessionId: sessionId, from: address)
            } then: { admission in
                // The room waits for its host as it did before.
                (
                    admission.sessionId,
                    Entrance {
                        $0.joinHost(admission, peer: $1, ack: ack)
                    } lost: {
                    }
                )
            }
        case .joinAsGuest(let token, let code, let publicKey, let binary):
            join(binary: binary, ack: ack) {
                await authority.admitGuest(token: token, code: code, publicKey: publicKey, from: address)
            } then: { admission in
                let entrance = Entrance {
                    $0.joinGuest(admission, publicKey: publicKey, peer: $1, ack: ack)
                } lost: {
                    background.run(isEssential: true) {
                        await authority.seatGivenUp(peerId: admission.peerId, reason: nil)
                    }
                }
                return (admission.sessionId, entrance)
            }
        case .resume(let token, let lastSequence, let binary):
            let sessionId = String(token.prefix { $0 != "." })
            guard let room = relay.find(sessionId) else { return refused(ack, "Resume window passed") }
            speak(binary: binary)
            state = .joining
            enter(
                room,
                Entrance {
                    $0.resume(token: token, lastSequence: lastSequence, peer: $1, ack: ack)
                } lost: {
                })
        case .relay: say(.ack(ack, error: "Not connected to a session"))
        case .keyExchange, .kick, .endSession: say(.ack(ack, error: "Not connected"))
        }
    }

    /// Socket.IO has no binary frames, whatever its client says.
    private func speak(binary: Bool) {
        if dialect != .socketIO { dialect = binary ? .frames : .json }
    }

    private func join<Admission: Sendable>(
        binary: Bool, ack: MessageId?, ask: @escaping @Sendable () async -> Result<Admission, RelayRefusal>,
        then entrance: @escaping (Admission) -> (sessionId: String, Entrance)
    ) {
        guard let loop = context?.eventLoop else { return }
        speak(binary: binary)
        state = .joining
        let promise = loop.makePromise(of: Result<Admission, RelayRefusal>.self)
        promise.completeWithTask(ask)
        promise.futureResult.assumeIsolated().whenSuccess { result in
            switch result {
            case .success(let admission):
                let (sessionId, entrance) = entrance(admission)
                // No room: the session ended while the question was on its way.
                guard let room = self.relay.find(sessionId) else {
                    entrance.lost()
                    return self.refused(ack, "Session has ended")
                }
                self.enter(room, entrance)
            case .failure(let refusal):
                self.refused(ack, refusal.message)
                if refusal.closeCode == CloseCode.rateLimited {
                    self.close(code: refusal.closeCode, reason: refusal.message)
                }
            }
        }
    }

    private func enter(_ room: RoomReference, _ entrance: Entrance) {
        // The socket may have closed meanwhile.
        guard case .joining = state, let context else { return entrance.lost() }
        // A test's.
        if transport == nil, let live = room.here { return entrance.enter(live, self) }
        // Also where the room is on this loop: what the request needed in memory stays behind. Not from inside a read: what has
        // been read goes along.
        context.eventLoop.assumeIsolated().execute { self.move(to: room, entrance) }
    }

    private func move(to room: RoomReference, _ entrance: Entrance) {
        guard case .joining = state, let context else { return entrance.lost() }
        let (relay, luggage) = (self.relay, self.luggage)
        do {
            let moved = try transport?.move(context.channel, to: room.loop) { channel in
                let handler = PeerHandler(relay: relay, clock: relay.clock(of: channel.eventLoop), luggage: luggage) {
                    if let live = room.here { entrance.enter(live, $0) }
                }
                try channel.pipeline.syncOperations.addHandler(handler)
            }
            state = .moved
            moved?.whenFailure { _ in entrance.lost() }
        } catch {
            entrance.lost()
            close(code: CloseCode.tooSlow, reason: "your connection could not be taken to its room; try again")
        }
    }

    // MARK: From the room

    func seated(_ seat: Seat, awaitsSnapshot: Bool) {
        joinBy = nil
        outbox = PeerOutbox(capacity: relay.configuration.outboxBytes, awaitsSnapshot: awaitsSnapshot)
        state = .seated(seat)
        relay.metrics.peers.add(1)
        if seat.slot != FrameHeader.hostSlot { relay.metrics.guests.add(1) }
        release()
    }

    func refused(_ ack: MessageId?, _ error: String) {
        switch state {
        case .new, .joining: break
        case .seated, .moved, .closing: return
        }
        state = .new
        // It may try again, within the time it had from the start: being refused is no way to stay.
        say(.ack(ack, error: error))
        if relay.isGoingAway { return goAway() }
        release()
    }
}
