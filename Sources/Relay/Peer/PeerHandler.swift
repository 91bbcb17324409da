import NIOCore
import NIOWebSocket
import Telemetry
import Wire

/// One WebSocket connection to the relay: from the upgrade through the join to the end.
///
/// It carries frames between the socket and a room; the rules are in ``Room``, ``PeerOutbox`` and ``PeerLiveness``.
final class PeerHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = ByteBuffer

    private enum State {
        case new
        /// A join is being answered; what comes meanwhile is held.
        case joining(held: [WebSocketFrame])
        case seated(Seat)
        case closing
    }

    private let relay: RelayServer
    private let authority: any RelayAuthority
    private let address: String
    /// The frame encoder's context: what is written there has passed the encoder.
    private let pastEncoder: ChannelHandlerContext
    private var state = State.new
    private var binary = false
    private var outbox = PeerOutbox(capacity: RelayConfiguration.outboxBytes, awaitsSnapshot: true)
    /// What of the outbox is in the server's count, in bytes.
    private var countedBytes = 0
    private var liveness = PeerLiveness(now: .now())
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var deadline: Scheduled<Void>?
    /// Binary frames of this read batch for a room on another loop.
    private var crossing: [ByteBuffer] = []
    private var saidGoodbye = false

    init(relay: RelayServer, authority: any RelayAuthority, address: String, pastEncoder: ChannelHandlerContext) {
        self.relay = relay
        self.authority = authority
        self.address = address
        self.pastEncoder = pastEncoder
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        liveness = PeerLiveness(now: .now())
        startDeadline(context)
        scheduleCheck(context, in: PeerLiveness.firstCheck)
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        liveness.heard(now: .now())
        guard frame.maskKey != nil else {
            return close(code: 1002, reason: "client frames are masked (RFC 6455, section 5.1)")
        }
        switch frame.opcode {
        case .ping: answerPing(frame)
        case .pong: break
        case .connectionClose: peerCloses(frame, context)
        case .text, .binary: receive(frame)
        default: close(code: 1002, reason: "an opcode that RFC 6455 does not know")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .seated(let seat) = state {
            let frames = crossing
            crossing.removeAll(keepingCapacity: true)
            if seat.room.loop === context.eventLoop || !frames.isEmpty {
                seat.room.run { live in
                    frames.forEach { live.receive($0, from: seat.slot, attachment: seat.attachment) }
                    live.readComplete()
                }
            }
        }
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        var wrote = false
        while context.channel.isWritable, let bytes = outbox.next() {
            pastEncoder.write(wrapOutboundOut(bytes), promise: nil)
            wrote = true
        }
        if wrote { context.flush() }
        countQueue(outbox.queuedBytes)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The listener allows half-closed connections, for HTTP. A peer that will never send again is gone.
        if event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error as? NIOWebSocketError {
        case .invalidFrameLength:
            close(code: 1009, reason: "a message is at most \(WireLimits.messageBytes) bytes long")
        case .some: close(code: 1002, reason: "not a valid WebSocket frame")
        case .none: context.close(promise: nil)
        }
    }

    /// Not while the socket is full: pongs for a peer that does not read would pile up.
    private func answerPing(_ frame: WebSocketFrame) {
        if case .closing = state { return }
        if context?.channel.isWritable == true { write(FramedMessage.control(opcode: 0xA, frame.unmaskedData)) }
    }

    // MARK: Towards the room

    private func receive(_ frame: WebSocketFrame) {
        switch state {
        case .closing: return
        case .joining(var held):
            guard held.count < RelayConfiguration.messagesWhileJoining else {
                return close(code: CloseCode.badMessage, reason: "wait for the answer to the join")
            }
            held.append(frame)
            state = .joining(held: held)
        case .seated(let seat) where frame.opcode == .binary:
            let payload = frame.unmaskedData
            if let context, seat.room.loop === context.eventLoop {
                seat.room.run { $0.receive(payload, from: seat.slot, attachment: seat.attachment) }
            } else {
                crossing.append(payload)
            }
        case .new, .seated:
            guard frame.opcode == .text else {
                return close(code: CloseCode.badMessage, reason: "join before you send frames")
            }
            receiveText(frame.unmaskedData)
        }
    }

    private func receiveText(_ text: ByteBuffer) {
        do {
            let (message, id) = try ClientMessage.parse(text)
            switch state {
            case .new: begin(message, ack: id)
            case .seated(let seat):
                flushCrossing(seat)
                seat.room.run { $0.receive(message, ack: id, from: seat.slot, attachment: seat.attachment) }
            case .joining, .closing: break
            }
        } catch {
            close(code: CloseCode.badMessage, reason: error.description)
        }
    }

    /// Frames that came before a text message reach the room before it.
    private func flushCrossing(_ seat: Seat) {
        guard !crossing.isEmpty else { return }
        let frames = crossing
        crossing.removeAll(keepingCapacity: true)
        seat.room.run { live in frames.forEach { live.receive($0, from: seat.slot, attachment: seat.attachment) } }
    }

    private func begin(_ message: ClientMessage, ack: MessageId?) {
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
            self.binary = binary
            state = .joining(held: [])
            let link = PeerLink(self, loop: loop, binary: binary)
            room.run { $0.resume(token: token, lastSequence: lastSequence, link: link, ack: ack) }
        case .relay: write(FramedMessage.text(.ack(ack, error: "Not connected to a session")).bytes)
        case .keyExchange, .kick, .endSession: write(FramedMessage.text(.ack(ack, error: "Not connected")).bytes)
        }
    }

    private func join<Admission: Sendable>(
        binary: Bool, ack: MessageId?, ask: @escaping @Sendable () async -> Result<Admission, RelayRefusal>,
        then enter: @escaping (PeerHandler, Admission, PeerLink) -> Void
    ) {
        guard let loop = context?.eventLoop else { return }
        self.binary = binary
        state = .joining(held: [])
        let promise = loop.makePromise(of: Result<Admission, RelayRefusal>.self)
        promise.completeWithTask(ask)
        promise.futureResult.assumeIsolated().whenSuccess { result in
            switch result {
            // Also when the socket has closed meanwhile: the seat is taken and must be given back, which `seated` does.
            case .success(let admission): enter(self, admission, PeerLink(self, loop: loop, binary: binary))
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
        deadline?.cancel()
        outbox = PeerOutbox(capacity: RelayConfiguration.outboxBytes, awaitsSnapshot: awaitsSnapshot)
        state = .seated(seat)
        relay.metrics.peers.add(1)
        held.forEach(receive)
    }

    func refused(_ ack: MessageId?, _ error: String) {
        write(FramedMessage.text(.ack(ack, error: error)).bytes)
        guard case .joining(let held) = state else { return }
        state = .new
        if let context { startDeadline(context) }
        held.forEach(receive)
    }

    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) {
        guard let context else { return }
        if case .closing = state { return }
        switch outbox.offer(bytes, kind, socketTakesMore: context.channel.isWritable) {
        case .send: pastEncoder.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        case .queued, .dropped: break
        case .fellBehind:
            relay.metrics.slowConsumers.add()
            warnOfGap()
        case .overflowed: close(code: CloseCode.tooSlow, reason: "you receive more slowly than the room sends")
        }
        countQueue(outbox.queuedBytes)
    }

    /// Keeps the server's count of waiting bytes right.
    private func countQueue(_ bytes: Int) {
        if bytes != countedBytes { relay.metrics.queueBytes.add(bytes - countedBytes) }
        countedBytes = bytes
    }

    /// Frames are gone that nobody can send again.
    func fellBehind() {
        outbox.awaitSnapshot()
        warnOfGap()
    }

    private func warnOfGap() {
        let warning = ServerMessage.warning(
            code: "slow_consumer",
            "You receive more slowly than the host sends; output was skipped. Ask the host for a snapshot.")
        deliver(FramedMessage.text(warning).bytes, .control)
    }

    /// Says why, then closes. What is queued is dropped, except when the room ends in order (code 1000).
    func close(code: UInt16, reason: String) {
        guard let context else { return }
        if case .closing = state { return }
        leaveSeat()
        state = .closing
        if code == CloseCode.normal {
            while let bytes = outbox.next() { pastEncoder.write(wrapOutboundOut(bytes), promise: nil) }
        }
        write(FramedMessage.close(code: code, reason: reason))
        // The peer's own close frame ends the connection; one that does not answer is cut off.
        let channel = context.channel
        timer?.cancel()
        let grace = code == CloseCode.normal ? RelayConfiguration.farewellGrace : RelayConfiguration.closeGrace
        timer = context.eventLoop.scheduleTask(in: grace) { channel.close(promise: nil) }
    }

    // MARK: Ending

    private func peerCloses(_ frame: WebSocketFrame, _ context: ChannelHandlerContext) {
        var payload = frame.unmaskedData
        let code = payload.readInteger(as: UInt16.self)
        saidGoodbye = code == CloseCode.normal
        if case .closing = state {
        } else {
            leaveSeat()
            state = .closing
            write(FramedMessage.close(code: code ?? CloseCode.normal, reason: ""))
        }
        context.close(promise: nil)
    }

    private func finish() {
        countQueue(0)
        timer?.cancel()
        deadline?.cancel()
        leaveSeat()
        state = .closing
        context = nil
    }

    private func leaveSeat() {
        guard case .seated(let seat) = state else { return }
        relay.metrics.peers.add(-1)
        let deliberate = saidGoodbye
        seat.room.run { $0.disconnected(slot: seat.slot, attachment: seat.attachment, deliberate: deliberate) }
    }

    private func write(_ bytes: ByteBuffer) {
        if context != nil { pastEncoder.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }
    }

    // MARK: Timers

    private func startDeadline(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(WireLimits.firstMessageSeconds)) {
            guard case .new = handler.value.state else { return }
            handler.value.close(
                code: CloseCode.badMessage, reason: "nobody joined within \(WireLimits.firstMessageSeconds) s")
        }
    }

    private func scheduleCheck(_ context: ChannelHandlerContext, in time: TimeAmount) {
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: time) { handler.value.checkLiveness() }
    }

    private func checkLiveness() {
        guard let context else { return }
        switch liveness.check(now: .now()) {
        case .wait(let time): scheduleCheck(context, in: time)
        case .ping(let next):
            write(FramedMessage.control(opcode: 0x9, ByteBuffer()))
            scheduleCheck(context, in: next)
        case .gone: context.close(promise: nil)
        }
    }
}
