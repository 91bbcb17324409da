import NIOCore
import Telemetry
import WebSocket
import Wire

/// One peer's connection, confined to its channel's event loop. It carries messages between the socket and a room. The
/// rules are in ``Room``, ``PeerOutbox``, ``PeerLiveness`` and ``SocketIODoor``. PeerHandler+Joining contains how a
/// peer gets its seat, PeerHandler+Messages its messages, PeerHandler+Leaving how it leaves.
final class PeerHandler: ChannelInboundHandler, Ticking {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        /// Not joined yet. Closed at `joinBy`.
        case new(joinBy: NIODeadline)
        /// A join is being answered. Messages that arrive meanwhile are held. After a refusal, the remaining time may
        /// be used for another join.
        case joining(joinBy: NIODeadline)
        case seated(Seat)
        /// The connection continues on another event loop, with another handler.
        case moved
        /// `cutAt`: when to close the socket if the peer does not answer our close frame. Nil: no answer is expected.
        case closing(cutAt: NIODeadline?)
    }

    let relay: RelayServer
    let address: String
    /// Nil if the connection cannot move. It can then join only rooms of its own event loop.
    let transport: (any PeerTransport)?
    let clock: LoopClock
    var state: State
    /// Messages that arrived while a join was answered.
    var held: [WebSocketMessage] = []
    var dialect: PeerDialect
    var outbox: PeerOutbox
    var context: ChannelHandlerContext?
    var door: SocketIODoor?
    /// Nil while it is in use.
    private var reader: WebSocketReader?
    /// Bytes of the outbox that are included in the server's count.
    var countedBytes = 0
    var liveness = PeerLiveness(now: .now())
    var checkAt = NIODeadline.now() + PeerLiveness.firstCheck
    /// Whether the room has received something in this read.
    var hasDelivered = false
    /// Set after a protocol error: further input is discarded.
    private var discardsInput = false
    var hasLeftDeliberately = false

    /// Called once the connection has moved to this event loop; it continues the join.
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

    /// Continues a connection that comes from another event loop, in the middle of a join.
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

    /// - Parameter joinBy: when the peer is closed if it has not joined.
    func handoff(joinBy: NIODeadline) -> PeerHandoff {
        PeerHandoff(
            address: address, transport: transport, dialect: dialect, door: door, reader: reader, liveness: liveness,
            held: held, joinBy: joinBy)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // Only test channels have no options.
        try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: RelayConfiguration.writeWaterMark)
        clock.add(self)
        guard case .new = state else { return }
        if let door { write(SocketIOPacket.text(door.open).bytes) }
        // The upgrade request arrived while the server began to stop.
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
            // Nothing more is read, not even the peer's close frame, so the peer need not wait until ours is answered.
            context.close(mode: .output, promise: nil)
        }
    }

    /// The next message that is not a frame for the room. The room takes its frames itself.
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
            // TLS holds back what is not flushed, and the channel would always look writable.
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
        // The listener allows half-closed connections, for HTTP. A peer that will never send again counts as gone.
        if event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        if event is ChannelShouldQuiesceEvent {
            // Rooms tell their peers when to reconnect. A peer outside of a room must be told here.
            if case .new = state { goAway() }
            // While the server stops, the last messages of a session get less time than otherwise.
            if case .closing(let cutAt?) = state {
                state = .closing(cutAt: min(cutAt, .now() + RelayConfiguration.closeGrace))
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
