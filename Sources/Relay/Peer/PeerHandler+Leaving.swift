import NIOCore
import Telemetry
import WebSocket
import Wire

/// How a connection ends, and its timeouts.
extension PeerHandler {
    /// Sends the reason, then closes. Queued messages are dropped, unless the room ends normally (code 1000).
    func close(code: UInt16, reason: String) {
        guard let context else { return }
        if case .closing = state { return }
        leaveSeat()
        // The peer's own close frame ends the connection. A peer that does not answer is disconnected.
        let grace = code == CloseCode.normal ? RelayConfiguration.leaveGrace : RelayConfiguration.closeGrace
        state = .closing(cutAt: .now() + grace)
        if code == CloseCode.normal {
            while let bytes = outbox.next() { context.write(wrapOutboundOut(bytes), promise: nil) }
        }
        dropQueue()
        // After any other end, a Socket.IO client reconnects by itself.
        if door != nil, code != CloseCode.goingAway { write(SocketIOPacket.text(SocketIODoor.disconnect).bytes) }
        write(WebSocketClose.frame(code: code, reason: reason))
    }

    func peerCloses(_ close: WebSocketClose, _ context: ChannelHandlerContext) {
        if close.code == CloseCode.normal { hasLeftDeliberately = true }
        if case .closing = state {
        } else {
            leaveSeat()
            state = .closing(cutAt: nil)
            dropQueue()
            write(WebSocketClose.frame(code: close.code ?? CloseCode.normal, reason: ""))
        }
        context.close(promise: nil)
    }

    /// Nothing may follow a close frame (RFC 6455, section 5.5.1).
    private func dropQueue() {
        held.removeAll()
        outbox = PeerOutbox(capacity: relay.configuration.outboxBytes, awaitsSnapshot: true)
        countQueue(0)
    }

    func finish() {
        dropQueue()
        clock.remove(self)
        leaveSeat()
        state = .closing(cutAt: nil)
        context = nil
    }

    private func leaveSeat() {
        guard case .seated(let seat) = state else { return }
        // Prevents anything that follows from leaving the seat a second time.
        state = .closing(cutAt: nil)
        relay.metrics.peers.add(-1)
        if seat.slot != FrameHeader.hostSlot { relay.metrics.guests.add(-1) }
        let (slot, attachment, delivered, deliberate) = (seat.slot, seat.attachment, hasDelivered, hasLeftDeliberately)
        hasDelivered = false
        // Deferred: the room may be in the middle of sending to all its peers.
        seat.room.reference.later { live in
            // Frames that came in the same read as the close frame still belong to the room.
            if delivered { live.readComplete() }
            live.disconnected(slot: slot, attachment: attachment, deliberate: deliberate)
        }
    }

    /// The server is stopping.
    func goAway() {
        if case .seated = state { say(relay.goingAwayMessage) }
        close(code: CloseCode.goingAway, reason: "the server is stopping; reconnect")
    }

    // MARK: Time

    func tick(_ now: NIODeadline) {
        switch state {
        case .closing(let cutAt?):
            if now >= cutAt { context?.close(promise: nil) }
            return
        case .new(let joinBy) where now >= joinBy:
            return close(
                code: CloseCode.badMessage, reason: "no join within \(WireLimits.firstMessageSeconds) s")
        case .new, .joining, .seated, .moved, .closing: break
        }
        if now >= checkAt { checkLiveness(now) }
    }

    private func checkLiveness(_ now: NIODeadline) {
        switch liveness.check(now: now) {
        case .wait(let time): checkAt = now + time
        case .ping(let next):
            checkAt = now + next
            if door == nil { write(FramedMessage.control(.ping).bytes) }
        case .gone: context?.close(promise: nil)
        }
        // Engine.IO expects pings even while the peer is sending.
        guard door != nil else { return }
        checkAt = now + .milliseconds(SocketIODoor.pingMilliseconds)
        write(SocketIOPacket.text(SocketIODoor.ping).bytes)
    }
}
