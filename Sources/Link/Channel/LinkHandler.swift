public import NIOCore

/// Runs a ``LinkEngine`` over a connection, behind its TLS handler. Everything here happens on the connection's event
/// loop.
public final class LinkHandler: ChannelInboundHandler {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// Bytes written to the connection at once. Data that TLS and the socket hold can no longer be reordered.
    private static let batchBytes = 64 << 10
    /// Above the high mark, data stays in the engine instead of the connection. In bytes.
    public static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 128 << 10)

    public let engine: LinkEngine
    private let owner: any LinkOwner
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var timerAt: NIODeadline?
    private var helloTimer: Scheduled<Void>?
    private var isPumpDue = false
    private var isDelivering = false
    private var isOver = false

    /// - Parameter owner: is held until the connection is closed.
    public init(_ engine: LinkEngine, owner: any LinkOwner) {
        self.engine = engine
        self.owner = owner
    }

    public var eventLoop: (any EventLoop)? { context?.eventLoop }

    // MARK: Lifecycle

    public func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard engine.configuration.side == .server else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        helloTimer = context.eventLoop.scheduleTask(in: LinkLimits.helloTime) {
            bound.value.end(LinkError(.noHello, "no HELLO within 10 s"))
        }
    }

    public func handlerRemoved(context: ChannelHandlerContext) { stopped(nil) }

    public func channelInactive(context: ChannelHandlerContext) {
        stopped(LinkError(.closed, "the connection ended"))
        context.fireChannelInactive()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        owner.linkFailed(error, by: self)
        context.close(promise: nil)
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A half-closed link is of no use.
        if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
        if event is ChannelShouldQuiesceEvent { owner.linkShouldQuiesce() }
        context.fireUserInboundEventTriggered(event)
    }

    private func stopped(_ error: LinkError?) {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        helloTimer?.cancel()
        engine.close()
        deliver()
        context = nil
        owner.linkEnded(error, by: self)
    }

    // MARK: Inbound

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        engine.receive(unwrapInboundIn(data), now: .now())
        deliver()
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        pump()
        context.fireChannelReadComplete()
    }

    private func deliver() {
        guard !isDelivering else { return }
        isDelivering = true
        while true {
            let events = engine.takeEvents()
            if events.isEmpty { break }
            for event in events { deliver(event) }
        }
        isDelivering = false
        schedulePump()
    }

    private func deliver(_ event: LinkEvent) {
        switch event {
        case .hello(let hello):
            helloTimer?.cancel()
            owner.linkGreeted(hello, by: self)
        case .welcome(let welcome): owner.linkWelcomed(welcome, by: self)
        case .opened(let stream): owner.linkOpened(stream, by: self)
        case .accepted(let stream): stream.owner?.streamAccepted()
        case .rejected(let stream, let reason): stream.owner?.streamRejected(reason)
        case .data(let stream, let bytes):
            // Without an owner the bytes are consumed at once.
            if let owner = stream.owner { owner.streamReceived(bytes) } else { consume(stream, bytes.readableBytes) }
        case .finished(let stream): stream.owner?.streamFinished()
        case .reset(let stream, let code): stream.owner?.streamReset(code)
        case .writable(let stream): stream.owner?.streamWritable()
        case .call(let number, let json): owner.linkCalled(number, json, by: self)
        case .answer(let number, let json): owner.linkAnswered(number, json, by: self)
        case .goAway(let reason): owner.linkGoesAway(reason, by: self)
        case .failed(let error): end(error, saysWhy: false)
        }
    }

    // MARK: Outbound

    public func welcome(_ welcome: LinkWelcome, to hello: LinkHello) {
        engine.welcome(welcome, to: hello, now: .now())
        tickLater()
        schedulePump()
    }

    public func greet(_ hello: LinkHello) {
        engine.greet(hello)
        schedulePump()
    }

    /// Starts the keep-alive timer of the link. On the server, ``welcome(_:to:)`` starts it.
    public func tickLater() {
        guard let context else { return }
        let next = engine.nextTick
        if let timerAt, timerAt <= next { return }
        timer?.cancel()
        timerAt = next
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(deadline: next) { bound.value.tick() }
    }

    private func tick() {
        timer = nil
        timerAt = nil
        engine.tick(now: .now())
        deliver()
        if !isOver { tickLater() }
    }

    /// - Throws: ``LinkRejection``.
    public func open(_ open: LinkOpen, owner: (any LinkStreamOwner)?) throws(LinkRejection) -> LinkStream {
        // If memory was short, stalled streams were reset to make room.
        defer { deliver() }
        let stream = try engine.open(open, now: .now())
        stream.owner = owner
        return stream
    }

    public func accept(_ stream: LinkStream) {
        engine.accept(stream)
        schedulePump()
    }

    public func reject(_ stream: LinkStream, _ reason: LinkRejection) {
        engine.reject(stream, reason)
        schedulePump()
    }

    /// - Returns: whether the writer may continue; otherwise the stream's owner is told when it may.
    @discardableResult
    public func write(_ stream: LinkStream, _ bytes: ByteBuffer) -> Bool {
        defer { schedulePump() }
        return engine.write(stream, bytes)
    }

    public func finish(_ stream: LinkStream) {
        engine.finish(stream)
        schedulePump()
    }

    public func reset(_ stream: LinkStream, _ code: ResetCode) {
        engine.reset(stream, code)
        deliver()
    }

    public func consume(_ stream: LinkStream, _ bytes: Int) {
        engine.consume(stream, bytes, now: .now())
        if engine.isStarved { tickLater() }
        schedulePump()
    }

    /// - Returns: the call's number; nil if too many calls are open.
    public func call(_ json: ByteBuffer) -> UInt32? {
        defer { schedulePump() }
        return engine.call(json)
    }

    public func answer(_ call: UInt32, _ json: ByteBuffer) {
        engine.answer(call, json)
        schedulePump()
    }

    public func goAway(_ reason: LinkGoAway) {
        engine.goAway(reason)
        schedulePump()
    }

    /// Ends the link and sends the reason. The connection is closed once the reason is sent.
    public func end(_ error: LinkError, retryAfter: Int? = nil) { end(error, saysWhy: true, retryAfter: retryAfter) }

    private func end(_ error: LinkError, saysWhy: Bool, retryAfter: Int? = nil) {
        guard !isOver, let context else { return }
        if saysWhy {
            engine.goAway(
                LinkGoAway(code: error.code, message: error.message, retryAfter: retryAfter ?? error.retryAfter))
        }
        isPumpDue = true
        pump()
        stopped(error)
        // Closes through TLS, which reads and drops further bytes until the peer has closed.
        context.close(promise: nil)
    }

    /// Sends what several streams write in one turn of the event loop together.
    private func schedulePump() {
        guard !isPumpDue, let context, engine.hasOutput else { return }
        isPumpDue = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.pump() }
    }

    private func pump() {
        isPumpDue = false
        guard let context, !isOver else { return }
        while context.channel.isWritable, engine.hasOutput {
            for buffer in engine.output(atMost: Self.batchBytes) {
                context.write(wrapOutboundOut(buffer), promise: nil)
            }
            context.flush()
            // Sending frees space in streams.
            deliverWritable()
        }
    }

    private func deliverWritable() {
        guard !isDelivering else { return }
        isDelivering = true
        for event in engine.takeEvents() { deliver(event) }
        isDelivering = false
    }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { pump() }
        context.fireChannelWritabilityChanged()
    }
}
