import HTTP1
import Limits
import Link
import NIOCore
import Sockets
import Telemetry
import TransportSecurity

/// A visitor's HTTP/1.1 connection to names below the tunnel domain: reads requests, decides where each goes, and carries it there.
///
/// Everything is on one event loop, that of the machine's link: a connection that is accepted elsewhere moves before its request goes on.
final class VisitorHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        /// Waits for a request.
        case head
        case exchange(Exchange)
        /// Bytes pass both ways (WebSocket).
        case spliced(ServiceStream)
        /// On its way to another event loop.
        case moving
        /// Answered for the last time: what still comes is dropped.
        case closing
    }

    /// What may wait here while a request is answered, in bytes.
    private static let inputBytes = 64 << 10
    private static let headBytes = 16 << 10

    let server: TunnelServer
    let visitor: VisitorName
    private let connection: ConnectionTransfer
    var input: ByteBuffer
    private var heads = HeadReader(limit: VisitorHandler.headBytes)
    var state = State.head
    private(set) var context: ChannelHandlerContext?
    /// The tunnel that counts this connection.
    var attached: LiveTunnel?
    /// A connection to the service that knows this visitor by it.
    var bound: ServiceStream?
    var isReadHeld = false
    private var isProcessing = false
    var inputIsFinished = false
    var isStopping = false
    var clock = VisitorClock()
    /// Writes that have not left.
    var pendingWrites = 0
    /// When the last one has.
    var flushedAt = NIODeadline.now()
    /// What is to be closed when all of them have.
    var closesWhenFlushed: CloseMode?

    /// - Parameter input: what was received before this handler.
    init(server: TunnelServer, visitor: VisitorName, connection: ConnectionTransfer, input: ByteBuffer = ByteBuffer()) {
        self.server = server
        self.visitor = visitor
        self.connection = connection
        self.input = input
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private func begin() {
        setDeadline(.firstRequest)
        if input.readableBytes > 0 { process() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        clock.stop()
        let last = state
        state = .closing
        switch last {
        case .exchange(let exchange): exchange.cancel()
        // Where both ways have ended well, what is still on its way to the service goes on.
        case .spliced(let service): if !(inputIsFinished && service.isFinished) { service.end(.broken) }
        case .head, .moving, .closing: break
        }
        bound?.end(.cancelled)
        bound = nil
        attached?.leave(ObjectIdentifier(context.channel))
        attached = nil
        self.context = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closing = state { return }
        var bytes = unwrapInboundIn(data)
        if input.readableBytes == 0 {
            input = bytes
        } else {
            // What was read is given up first, however long the connection lives.
            input.discardReadBytes()
            input.writeBuffer(&bytes)
        }
        process()
    }

    /// While the service, or the requests before, do not keep up, the visitor waits.
    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { isReadHeld = true }
    }

    private var mayRead: Bool {
        switch state {
        case .head: true
        case .exchange(let exchange): input.readableBytes < Self.inputBytes && exchange.isWritable
        case .spliced(let service): service.isWritable
        case .moving: false
        case .closing: true
        }
    }

    func readOn() {
        guard isReadHeld, mayRead, let context else { return }
        isReadHeld = false
        context.read()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: inputClosed(context)
        case is TunnelEnded: tunnelEnded()
        case is ChannelShouldQuiesceEvent:
            isStopping = true
            if case .head = state, input.readableBytes == 0 { close() }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    private func inputClosed(_ context: ChannelHandlerContext) {
        inputIsFinished = true
        switch state {
        case .head: close()
        case .closing: break
        case .spliced(let service):
            service.finish()
            if service.isFinished { serviceFinished() }
        // The answer is still wanted; a request that is not whole gets none.
        case .exchange(let exchange): if !exchange.isRequestEnded { context.close(promise: nil) }
        case .moving: break
        }
    }

    private func tunnelEnded() {
        attached = nil
        switch state {
        case .exchange(let exchange): exchange.tunnelEnded()
        case .spliced(let service):
            service.end(.stopped)
            abort()
        case .head, .moving, .closing: break
        }
    }

    // MARK: Requests

    func process() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        while step() {}
        readOn()
    }

    /// - Returns: whether there may be more to do.
    private func step() -> Bool {
        switch state {
        case .head:
            guard input.readableBytes > 0 else { return false }
            do throws(HTTPMessageError) {
                skipEmptyLine()
                if !clock.isReadingHead { setDeadline(.head) }
                guard let found = try heads.next(&input) else { return false }
                begin(try RequestHead(found), found)
            } catch {
                server.metrics.requestsMalformed.add()
                answer(.badRequest(error), to: nil, closes: true)
            }
            return true
        case .exchange(let exchange):
            exchange.forwardContent(&input)
            return false
        case .spliced(let service):
            guard input.readableBytes > 0 else { return false }
            spliceIn(service)
            return false
        case .closing:
            input.clear()
            return false
        case .moving: return false
        }
    }

    /// RFC 9112, section 2.2: one empty line before a request is left over from an older client's last one.
    private func skipEmptyLine() {
        if input.getInteger(at: input.readerIndex, as: UInt16.self) == 0x0D0A { input.moveReaderIndex(forwardBy: 2) }
    }

    private func begin(_ head: RequestHead, _ found: ByteBuffer) {
        switch server.route(head) {
        case .answer(let answer): self.answer(answer, to: head)
        case .page(let bytes): write(bytes, thenCloses: !endsCleanly(head))
        case .tunnel(let handle):
            guard handle.loop.inEventLoop else { return move(to: handle, found) }
            guard handle.live.value.isOpen else { return answer(.ended, to: head) }
            serve(head, handle.live.value)
        }
    }

    private func serve(_ head: RequestHead, _ tunnel: LiveTunnel) {
        guard let context else { return }
        let client = server.proxies.client(visitor.address, head.block.values(.xForwardedFor))
        // Whoever is not let in takes nobody's place.
        if let refusal = Gate.refusal(of: head, from: client, by: tunnel) { return answer(refusal, to: head) }
        guard attach(tunnel, context.channel) else {
            return answer(.tooMany(limit: tunnel.grant.connectionLimit ?? 0, plan: tunnel.grant.plan), to: head)
        }
        if let page = Gate.warning(for: head, by: tunnel) { return write(page, thenCloses: !endsCleanly(head)) }
        let exchange = Exchange(head, on: tunnel, for: self)
        state = .exchange(exchange)
        clock.clear()
        exchange.begin()
    }

    private func attach(_ tunnel: LiveTunnel, _ channel: any Channel) -> Bool {
        if attached === tunnel { return true }
        attached?.leave(ObjectIdentifier(channel))
        bound?.end(.cancelled)
        bound = nil
        attached = nil
        guard tunnel.enter(channel) else { return false }
        attached = tunnel
        return true
    }

    /// The machine's link is on another event loop: the connection goes there with what it has sent.
    private func move(to handle: TunnelHandle, _ head: ByteBuffer) {
        guard let context else { return }
        state = .moving
        if let attached { attached.leave(ObjectIdentifier(context.channel)) }
        attached = nil
        let bound = NIOLoopBound((self, context.channel, head), eventLoop: context.eventLoop)
        let (server, visitor, connection) = (self.server, self.visitor, self.connection)
        // Not from inside a read: TLS is in the middle of one.
        context.eventLoop.execute {
            let (handler, channel, head) = bound.value
            // With what has been read since.
            var held = head
            held.writeImmutableBuffer(handler.input)
            handler.input = ByteBuffer()
            do {
                _ = try connection.move(channel, to: handle.loop) { [held] channel in
                    try channel.pipeline.syncOperations.addHandler(
                        VisitorHandler(server: server, visitor: visitor, connection: connection, input: held))
                }
            } catch { handler.answer(.busy, to: nil, closes: true) }
        }
    }
}
