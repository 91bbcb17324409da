import NIOCore
import Telemetry
import WebSocket
import Wire

/// One peer's connection, confined to its channel's loop: carries messages between the socket and a room. The rules are in
/// ``Room``, ``PeerOutbox``, ``PeerLiveness`` and ``SocketIODoor``; how a peer comes to its seat is in
/// PeerHandler+Joining, what it says and is told in PeerHandler+Messages, how it goes in PeerHandler+Leaving.
final class PeerHandler: ChannelInboundHandler, Ticking {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        /// Not joined yet. Closed at `joinBy`.
        case new(joinBy: NIODeadline)
        /// A join is being answered; what comes meanwhile is held. If it is refused, the rest of the time is left for another.
        case joining(joinBy: NIODeadline)
        case seated(Seat)
        /// The connection goes on elsewhere, with another handler.
        case moved
        /// `cutAt`: when the socket is closed if the peer does not answer our close frame. Nil: no answer is waited for.
        case closing(cutAt: NIODeadline?)
    }

    let relay: RelayServer
    let address: String
    /// Nil where the connection cannot move: it joins rooms of its own loop only.
    let transport: (any PeerTransport)?
    let clock: LoopClock
    var state: State
    /// What came while a join was answered.
    var held: [WebSocketMessage] = []
    var dialect: PeerDialect
    var outbox: PeerOutbox
    var context: ChannelHandlerContext?
    var door: SocketIODoor?
    /// Nil while it is in use.
    private var reader: WebSocketReader?
    /// What of the outbox is in the server's count, in bytes.
    var countedBytes = 0
    var liveness = PeerLiveness(now: .now())
    var checkAt = NIODeadline.now() + PeerLiveness.firstCheck
    /// The room has got something in this read.
    var hasDelivered = false
    /// Set after a protocol error: further input is discarded.
    private var discardsInput = false
    var hasLeftDeliberately = false

    /// Once the connection has moved here: what it came for.
    private var onActive: ((PeerHandler) -> Void)?

    init(
        relay: RelayServer, address: String, clock: LoopClock, isSocketIO: Bool, transport: (any PeerTransport)?
    ) {
        self.relay = relay
        self.address = address
        self.clock = clock
        self.transport = transport
        state = .new(joinBy: .now() + .seconds(WireLimits.firstMessageSeconds))
        reader = WebSocketReader(
            role: .server, maxMessageBytes: WireLimits.messageBytes, maxFragments: WireLimits.fragmentsPerMessage)
        outbox = PeerOutbox(capacity: relay.configuration.outboxBytes, awaitsSnapshot: true)
        dialect = isSocketIO ? .socketIO : .json
        door = isSocketIO ? SocketIODoor(sid: ResumeToken.make(sessionId: "io")) : nil
    }

    /// Goes on with a connection that comes from another loop, in the middle of a join.
    init(relay: RelayServer, clock: LoopClock, handoff: PeerHandoff, onActive: @escaping (PeerHandler) -> Void) {
        self.relay = relay
        self.clock = clock
        self.onActive = onActive
        outbox = PeerOutbox(capacity: relay.configuration.outboxBytes, awaitsSnapshot: true)
        address = handoff.address
        transport = handoff.transport
        dialect = handoff.dialect
        door = handoff.door
        reader = handoff.reader
        liveness = handoff.liveness
        held = handoff.held
        state = .joining(joinBy: handoff.joinBy)
    }

    /// - Parameter joinBy: when a peer that does not come to its seat is sent away.
    func handoff(joinBy: NIODeadline) -> PeerHandoff {
        PeerHandoff(
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
        guard !discardsInput else { return }
        liveness.heard(now: .now())
        reader?.receive(unwrapInboundIn(data))
        do {
            while let message = try next() { receive(message, context) }
        } catch {
            discardsInput = true
            close(code: error.closeCode, reason: error.description)
            // Nothing more is read, the peer's close frame included: it need not wait for ours to be answered.
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

    func readComplete() {
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
            if case .closing(let cutAt?) = state {
                state = .closing(cutAt: min(cutAt, .now() + RelayConfiguration.closeGrace))
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
