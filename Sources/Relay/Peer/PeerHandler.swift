import NIOCore
import Telemetry
import WebSocket
import Wire

/// One peer's connection, confined to its channel's loop: carries messages between the socket and a room. The rules are in
/// ``Room``, ``PeerOutbox``, ``PeerLiveness`` and ``SocketIODoor``; how a peer comes to its seat is in PeerHandler+Joining.
final class PeerHandler: ChannelInboundHandler, Ticking {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        case new
        /// A join is being answered; what comes meanwhile is held.
        case joining
        case seated(Seat)
        /// The connection goes on elsewhere, with another handler.
        case moved
        case closing
    }

    let relay: RelayServer
    let address: String
    /// Nil where the connection cannot move (and need not).
    let transport: (any PeerTransport)?
    private let clock: LoopClock
    var state = State.new
    /// What came while a join was answered.
    var held: [WebSocketMessage] = []
    var dialect: PeerDialect
    var outbox = PeerOutbox(capacity: RelayConfiguration.outboxBytes, awaitsSnapshot: true)
    var context: ChannelHandlerContext?
    /// When somebody who has not joined is sent away.
    var joinBy: NIODeadline?
    private var door: SocketIODoor?
    /// Nil while it is in use.
    private var reader: WebSocketReader?
    /// What of the outbox is in the server's count, in bytes.
    private var countedBytes = 0
    private var liveness = PeerLiveness(now: .now())
    private var checkAt = NIODeadline.now() + PeerLiveness.firstCheck
    /// When a peer that does not answer our close frame is cut off.
    private var cutAt: NIODeadline?
    /// The room has got something in this read.
    private var hasDelivered = false
    /// The peer broke the framing: what it sends means nothing any more.
    private var isDeaf = false
    var saidGoodbye = false

    /// Once the connection has moved here: what it came for.
    private var onActive: ((PeerHandler) -> Void)?

    init(
        relay: RelayServer, address: String, clock: LoopClock, isSocketIO: Bool, transport: (any PeerTransport)?
    ) {
        self.relay = relay
        self.address = address
        self.clock = clock
        self.transport = transport
        reader = WebSocketReader(
            role: .server, maxMessageBytes: WireLimits.messageBytes, maxFragments: WireLimits.fragmentsPerMessage)
        dialect = isSocketIO ? .socketIO : .json
        door = isSocketIO ? SocketIODoor(sid: ResumeToken.make(sessionId: "io")) : nil
    }

    /// Goes on with a connection that comes from another loop, in the middle of a join.
    init(relay: RelayServer, clock: LoopClock, luggage: PeerLuggage, onActive: @escaping (PeerHandler) -> Void) {
        self.relay = relay
        self.clock = clock
        self.onActive = onActive
        address = luggage.address
        transport = luggage.transport
        dialect = luggage.dialect
        door = luggage.door
        reader = luggage.reader
        liveness = luggage.liveness
        held = luggage.held
        joinBy = luggage.joinBy
        state = .joining
    }

    var luggage: PeerLuggage {
        PeerLuggage(
            address: address, transport: transport, dialect: dialect, door: door, reader: reader, liveness: liveness,
            held: held, joinBy: joinBy)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // A channel without options is a test's.
        try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: RelayConfiguration.writeWaterMark)
        clock.add(self)
        guard case .new = state else { return }
        joinBy = .now() + .seconds(WireLimits.firstMessageSeconds)
        if let door { write(SocketIOPacket.text(door.open).bytes) }
        // Its request came while the server was told to stop.
        if relay.isGoingAway { context.eventLoop.assumeIsolated().execute { self.goAway() } }
    }

    func channelActive(context: ChannelHandlerContext) {
        onActive?(self)
        onActive = nil
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDeaf else { return }
        liveness.heard(now: .now())
        reader?.receive(unwrapInboundIn(data))
        do {
            while let message = try next() { receive(message, context) }
        } catch {
            isDeaf = true
            close(code: error.closeCode, reason: error.description)
            // Nothing more is listened to, the peer's farewell included: it need not wait for ours to be answered.
            context.close(mode: .output, promise: nil)
        }
    }

    /// The next message that is not a frame for the room, which takes those itself.
    private func next() throws(WebSocketError) -> WebSocketMessage? {
        guard var reader = reader.take() else { return nil }
        defer { self.reader = reader }
        guard case .seated(let seat) = state, held.isEmpty, dialect != .socketIO else { return try reader.next() }
        hasDelivered = true
        return try seat.room.receive(&reader, from: seat.slot, attachment: seat.attachment)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        readComplete()
        context.fireChannelReadComplete()
    }

    private func readComplete() {
        guard hasDelivered, case .seated(let seat) = state else { return }
        hasDelivered = false
        seat.room.readComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        var written = 0
        while context.channel.isWritable, let bytes = outbox.next() {
            context.write(wrapOutboundOut(bytes), promise: nil)
            written += bytes.readableBytes
            // TLS keeps what is not flushed to itself, and the channel would look writable for ever.
            if written >= RelayConfiguration.writeWaterMark.low {
                context.flush()
                written = 0
            }
        }
        if written > 0 { context.flush() }
        countQueue(outbox.queuedBytes)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The listener allows half-closed connections, for HTTP. A peer that will never send again is gone.
        if event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        if event is ChannelShouldQuiesceEvent {
            // Rooms tell their peers when to come back; nobody else would tell one that is in none.
            if case .new = state { goAway() }
            // A session's last words are not waited for as long as otherwise.
            cutAt = cutAt.map { min($0, .now() + RelayConfiguration.closeGrace) }
        }
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

    private func receive(_ message: WebSocketMessage) {
        if case .joining = state { return hold(message) }
        // Nothing overtakes what is held.
        if held.isEmpty { process(message) } else { hold(message) }
    }

    private func hold(_ message: WebSocketMessage) {
        guard held.count < RelayConfiguration.messagesWhileJoining else {
            return close(code: CloseCode.badMessage, reason: "wait for the answer to the join")
        }
        held.append(message)
    }

    /// Lets go what was held, now that the join is answered. Not at once: the room has yet to say who came.
    func release() {
        guard !held.isEmpty, let loop = context?.eventLoop else { return }
        loop.assumeIsolated().execute {
            while !self.held.isEmpty {
                // One of them may have been another join.
                if case .joining = self.state { break }
                self.process(self.held.removeFirst())
            }
            self.readComplete()
        }
    }

    private func process(_ message: WebSocketMessage) {
        switch state {
        case .closing, .moved, .joining: return
        case .seated(let seat) where message.kind == .binary && dialect != .socketIO:
            hasDelivered = true
            seat.room.receive(message.payload, from: seat.slot, attachment: seat.attachment)
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
        case .seated(let seat): seat.room.receive(message, ack: ack, from: seat.slot, attachment: seat.attachment)
        case .joining, .moved, .closing: break
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
        case .closing, .moved: break
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
        dropQueue()
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
            dropQueue()
            write(WebSocketClose.frame(code: close.code ?? CloseCode.normal, reason: ""))
        }
        context.close(promise: nil)
    }

    /// Behind a close frame nothing may follow (RFC 6455, section 5.5.1).
    private func dropQueue() {
        held.removeAll()
        outbox = PeerOutbox(capacity: RelayConfiguration.outboxBytes, awaitsSnapshot: true)
        countQueue(0)
    }

    private func finish() {
        dropQueue()
        clock.remove(self)
        leaveSeat()
        state = .closing
        context = nil
    }

    private func leaveSeat() {
        guard case .seated(let seat) = state else { return }
        // Whatever follows from this cannot leave again.
        state = .closing
        relay.metrics.peers.add(-1)
        let (slot, attachment, delivered, deliberate) = (seat.slot, seat.attachment, hasDelivered, saidGoodbye)
        hasDelivered = false
        // Not now: the room may be in the middle of telling everybody something.
        seat.room.reference.later { live in
            // What came in the same read as the farewell is still for the room.
            if delivered { live.readComplete() }
            live.disconnected(slot: slot, attachment: attachment, deliberate: deliberate)
        }
    }

    /// The server is stopping.
    func goAway() { close(code: CloseCode.goingAway, reason: "the server is stopping; reconnect") }

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
