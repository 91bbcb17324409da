import Background
import NIOCore
import Telemetry
import WebSocket
import Wire

/// How a peer gets its seat: it sends a request, moves to its room's event loop, and joins there.
extension PeerHandler {
    /// What follows when a join was granted: the action in the room, or the cleanup if the peer never gets there.
    private struct JoinContinuation: Sendable {
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
                // The room still waits for its host, as before.
                (
                    admission.sessionId,
                    JoinContinuation {
                        $0.joinHost(admission, peer: $1, ack: ack)
                    } lost: {
                    }
                )
            }
        case .joinAsGuest(let token, let code, let publicKey, let binary):
            join(binary: binary, ack: ack) {
                await authority.admitGuest(token: token, code: code, publicKey: publicKey, from: address)
            } then: { admission in
                let continuation = JoinContinuation {
                    $0.joinGuest(admission, publicKey: publicKey, peer: $1, ack: ack)
                } lost: {
                    background.run(isEssential: true) {
                        await authority.seatGivenUp(peerId: admission.peerId, reason: nil)
                    }
                }
                return (admission.sessionId, continuation)
            }
        case .resume(let token, let lastSequence, let binary):
            let sessionId = String(token.prefix { $0 != "." })
            guard let room = relay.find(sessionId) else { return refused(ack, "Resume window passed") }
            speak(binary: binary)
            startJoining()
            enter(
                room,
                JoinContinuation {
                    $0.resume(token: token, lastSequence: lastSequence, peer: $1, ack: ack)
                } lost: {
                })
        case .relay: say(.ack(ack, error: "Not connected to a session"))
        case .keyExchange, .kick, .endSession: say(.ack(ack, error: "Not connected"))
        }
    }

    /// From now on, messages are held until the join is answered.
    func startJoining() {
        if case .new(let joinBy) = state { state = .joining(joinBy: joinBy) }
    }

    /// Socket.IO has no binary frames, even if the client asks for them.
    private func speak(binary: Bool) {
        if dialect != .socketIO { dialect = binary ? .frames : .json }
    }

    private func join<Admission: Sendable>(
        binary: Bool, ack: MessageId?, ask: @escaping @Sendable () async -> Result<Admission, RelayRefusal>,
        then continuation: @escaping (Admission) -> (sessionId: String, JoinContinuation)
    ) {
        guard let loop = context?.eventLoop else { return }
        speak(binary: binary)
        startJoining()
        let promise = loop.makePromise(of: Result<Admission, RelayRefusal>.self)
        promise.completeWithTask(ask)
        promise.futureResult.assumeIsolated().whenSuccess { result in
            switch result {
            case .success(let admission):
                let (sessionId, continuation) = continuation(admission)
                // No room: the session ended while the request was under way.
                guard let room = self.relay.find(sessionId) else {
                    continuation.lost()
                    return self.refused(ack, "Session has ended")
                }
                self.enter(room, continuation)
            case .failure(let refusal):
                self.refused(ack, refusal.message)
                if refusal.closeCode == CloseCode.rateLimited {
                    self.close(code: refusal.closeCode, reason: refusal.message)
                }
            }
        }
    }

    private func enter(_ room: RoomReference, _ continuation: JoinContinuation) {
        // The socket may have closed in the meantime.
        guard case .joining = state, let context else { return continuation.lost() }
        if transport == nil, let live = room.here { return continuation.enter(live, self) }
        // Also if the room is on this loop: this frees the memory that the request needed. Not from inside a read: the
        // bytes already read move with the connection.
        context.eventLoop.assumeIsolated().execute { self.move(to: room, continuation) }
    }

    private func move(to room: RoomReference, _ continuation: JoinContinuation) {
        guard case .joining(let joinBy) = state, let context else { return continuation.lost() }
        guard let transport else {
            continuation.lost()
            return close(code: CloseCode.internalError, reason: "this connection cannot be moved to its session")
        }
        let (relay, handoff) = (self.relay, handoff(joinBy: joinBy))
        do {
            let moved = try transport.move(context.channel, to: room.loop) { channel in
                let handler = PeerHandler(relay: relay, clock: relay.clock(of: channel.eventLoop), handoff: handoff) {
                    if let live = room.here { continuation.enter(live, $0) }
                }
                try channel.pipeline.syncOperations.addHandler(handler)
            }
            state = .moved
            moved.whenFailure { _ in continuation.lost() }
        } catch {
            continuation.lost()
            close(code: CloseCode.tooSlow, reason: "your connection could not be moved to its session; try again")
        }
    }

    // MARK: Called by the room

    func seated(_ seat: Seat, awaitsSnapshot: Bool) {
        outbox = PeerOutbox(capacity: relay.configuration.outboxBytes, awaitsSnapshot: awaitsSnapshot)
        state = .seated(seat)
        relay.metrics.peers.add(1)
        if seat.slot != FrameHeader.hostSlot { relay.metrics.guests.add(1) }
        release()
    }

    func refused(_ ack: MessageId?, _ error: String) {
        switch state {
        case .new(let joinBy), .joining(let joinBy): state = .new(joinBy: joinBy)
        case .seated, .moved, .closing: return
        }
        // It may try again within its original time limit: refused joins must not extend the connection.
        say(.ack(ack, error: error))
        if relay.isGoingAway { return goAway() }
        release()
    }
}
