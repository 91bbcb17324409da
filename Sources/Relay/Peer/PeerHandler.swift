import NIOCore
import Telemetry
import WebSocket
import Wire

/// One peer's connection, confined to its channel's loop: carries messages between the socket and a room. The rules are in
/// ``Room``, ``PeerOutbox``, ``PeerLiveness`` and ``SocketIODoor``; how a peer comes to its seat is in PeerHandler+Joining.
final class PeerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        case new
        /// A join is being answered; what comes meanwhile is held.
        case joining(held: [WebSocketMessage])
        case seated(Seat)
        case closing
    }

    let relay: RelayServer
    let authority: any RelayAuthority
    let address: String
    private let clock: PeerClock
    var state = State.new
    var dialect: PeerDialect
    var outbox = PeerOutbox(capacity: RelayConfiguration.outboxBytes, awaitsSnapshot: true)
    var context: ChannelHandlerContext?
    /// When somebody who has not joined is sent away.
    var joinBy: NIODeadline?
    private var door: SocketIODoor?
    private var reader = WebSocketReader(
        role: .server, maxMessageBytes: WireLimits.messageBytes, maxFragments: WireLimits.fragmentsPerMessage)
    /// What of the outbox is in the server's count, in bytes.
    private var countedBytes = 0
    private var liveness = PeerLiveness(now: .now())
    private var checkAt = NIODeadline.now() + PeerLiveness.firstCheck
    /// When a peer that does not answer our close frame is cut off.
    private var cutAt: NIODeadline?
    /// Binary messages of this read for a room on another loop.
    private var crossing: [WebSocketMessage] = []
    /// The room on this loop has got something in this read.
    private var hasDelivered = false
    /// The peer broke the framing: what it sends means nothing any more.
    private var isDeaf = false
    var saidGoodbye = false

    init(
        relay: RelayServer, authority: any RelayAuthority, address: String, clock: PeerClock, isSocketIO: Bool
    ) {
        self.relay = relay
        self.authority = authority
        self.address = address
        self.clock = clock
        dialect = isSocketIO ? .socketIO : .json
        door = isSocketIO ? SocketIODoor(sid: ResumeToken.make(sessionId: "io")) : nil
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        joinBy = .now() + .seconds(WireLimits.firstMessageSeconds)
        clock.add(self)
        if let door { write(SocketIOPacket.text(door.open).bytes) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDeaf else { return }
        liveness.heard(now: .now())
        reader.receive(unwrapInboundIn(data))
        do {
            while let message = try reader.next() { receive(message, context) }
        } catch {
            isDeaf = true
            close(code: error.closeCode, reason: error.description)
            // Nothing more is listened to, the peer's farewell included: it need not wait for ours to be answered.
            context.close(mode: .output, promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .seated(let seat) = state {
            flushCrossing(seat)
            if hasDelivered {
                hasDelivered = false
                seat.room.here?.readComplete()
            }
        }
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        var wrote = false
        while context.channel.isWritable, let bytes = outbox.next() {
            context.write(wrapOutboundOut(bytes), promise: nil)
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

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: Messages in

    private func receive(_ message: WebSocketMessage, _ context: ChannelHandlerContext) {
        switch message.kind {
        case .binary, .text: receive(message)
        case .ping:
            // Not while the socket is full: pongs for a peer that does not read would pile up.
            if case .closing = state { return }
            if context.channel.isWritable { write(FramedMessage.control(.pong, message.payload).bytes) }
        case .pong: break
        case .close: peerCloses(WebSocketClose(message.payload), context)
        }
    }

    /// Also what was held while a join was answered.
    func receive(_ message: WebSocketMessage) {
        switch state {
        case .closing: return
        case .joining(var held):
            guard held.count < RelayConfiguration.messagesWhileJoining else {
                return close(code: CloseCode.badMessage, reason: "wait for the answer to the join")
            }
            held.append(message)
            state = .joining(held: held)
        case .seated(let seat) where message.kind == .binary && dialect != .socketIO:
            if let room = seat.room.here {
                hasDelivered = true
                room.receive(message, from: seat.slot, attachment: seat.attachment)
            } else {
                crossing.append(message)
            }
        case .new, .seated:
            guard message.kind == .text else {
                let reason = door == nil ? "join before you send frames" : "send strings: binary packets are not spoken"
                return close(code: CloseCode.badMessage, reason: reason)
            }
            receiveText(message.payload)
        }
    }

    private func receiveText(_ text: ByteBuffer) {
        do {
            guard door != nil else {
                let (message, id) = try ClientMessage.parse(text)
                return handle(message, ack: id)
            }
            switch try door?.receive(text) {
            case .send(let text): answer(SocketIOPacket.text(text).bytes)
            case .message(let message, let ack): handle(message, ack: ack)
            case .refuse(let ack, let reason): say(.ack(ack, error: reason))
            case .leave:
                saidGoodbye = true
                close(code: CloseCode.normal, reason: "goodbye")
            case nil: break
            }
        } catch {
            close(code: CloseCode.badMessage, reason: error.description)
        }
    }

    private func handle(_ message: ClientMessage, ack: MessageId?) {
        switch state {
        case .new: begin(message, ack: ack)
        case .seated(let seat):
            flushCrossing(seat)
            seat.room.run { $0.receive(message, ack: ack, from: seat.slot, attachment: seat.attachment) }
        case .joining, .closing: break
        }
    }

    /// Frames that came before a text message reach the room before it.
    private func flushCrossing(_ seat: Seat) {
        guard !crossing.isEmpty else { return }
        let messages = crossing
        crossing.removeAll(keepingCapacity: true)
        seat.room.run { live in
            messages.forEach { live.receive($0, from: seat.slot, attachment: seat.attachment) }
            live.readComplete()
        }
    }

    // MARK: Messages out

    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) {
        guard let context else { return }
        if case .closing = state { return }
        switch outbox.offer(bytes, kind, socketTakesMore: context.channel.isWritable) {
        case .send: context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
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
        if let framed = dialect.framed(warning) { deliver(framed.bytes, .control) }
    }

    /// Says something before, or besides, what a room has to say.
    func say(_ message: ServerMessage) {
        if let framed = dialect.framed(message) { answer(framed.bytes) }
    }

    /// Nobody gets answers faster than it reads them: they would pile up here.
    private func answer(_ bytes: ByteBuffer) {
        switch state {
        case .closing: break
        case .seated: deliver(bytes, .control)
        case .new, .joining:
            guard context?.channel.isWritable == true else {
                return close(code: CloseCode.tooSlow, reason: "you ask faster than you read the answers")
            }
            write(bytes)
        }
    }

    private func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    // MARK: The end

    /// Says why, then closes. What is queued is dropped, except when the room ends in order (code 1000).
    func close(code: UInt16, reason: String) {
        guard let context else { return }
        if case .closing = state { return }
        leaveSeat()
        state = .closing
        if code == CloseCode.normal {
            while let bytes = outbox.next() { context.write(wrapOutboundOut(bytes), promise: nil) }
        }
        // A Socket.IO client comes back by itself from any other end.
        if door != nil, code != CloseCode.goingAway { write(SocketIOPacket.text(SocketIODoor.disconnect).bytes) }
        write(WebSocketClose.frame(code: code, reason: reason))
        // The peer's own close frame ends the connection; one that does not answer is cut off.
        cutAt = .now() + (code == CloseCode.normal ? RelayConfiguration.farewellGrace : RelayConfiguration.closeGrace)
    }

    private func peerCloses(_ close: WebSocketClose, _ context: ChannelHandlerContext) {
        if close.code == CloseCode.normal { saidGoodbye = true }
        if case .closing = state {
        } else {
            leaveSeat()
            state = .closing
            write(WebSocketClose.frame(code: close.code ?? CloseCode.normal, reason: ""))
        }
        context.close(promise: nil)
    }

    private func finish() {
        countQueue(0)
        clock.remove(self)
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

    // MARK: Time

    func tick(_ now: NIODeadline) {
        if let cutAt {
            if now >= cutAt { context?.close(promise: nil) }
            return
        }
        if let joinBy, now >= joinBy, case .new = state {
            return close(
                code: CloseCode.badMessage, reason: "nobody joined within \(WireLimits.firstMessageSeconds) s")
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
        // Engine.IO expects its pings also while it talks.
        guard door != nil else { return }
        checkAt = now + .milliseconds(SocketIODoor.pingMilliseconds)
        write(SocketIOPacket.text(SocketIODoor.ping).bytes)
    }
}
