import Background
import HTTP1
import Limits
import Link
import Model
import NIOCore
import Sockets
import Telemetry
import TransportSecurity

/// A visitor's HTTP/1.1 connection to names below the tunnel domain. Reads requests, decides where each one goes, and forwards it.
///
/// All work is on the event loop of the machine's link. A connection that is accepted on another loop moves before its
/// request is forwarded.
final class VisitorHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        /// Waiting for a request.
        case head
        case exchange(Exchange)
        /// Bytes are passed in both directions (WebSocket).
        case spliced(ServiceStream)
        /// Moving to another event loop.
        case moving
        /// Waiting until a token is verified.
        case deciding
        /// The last response was sent: further input is dropped.
        case closing
    }

    /// The maximum number of bytes that may wait here while a request is answered.
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
    /// A connection to the service that identifies this visitor.
    var bound: ServiceStream?
    /// The place of a WebSocket in policies that count requests.
    private var permit: RequestPermit?
    var isReadHeld = false
    private var isProcessing = false
    var inputIsFinished = false
    var isStopping = false
    var clock = VisitorClock()
    /// The number of writes that have not been sent.
    var pendingWrites = 0
    /// When the last write was sent.
    var flushedAt = NIODeadline.now()
    /// What to close after all writes have been sent.
    var closesWhenFlushed: CloseMode?

    /// - Parameter input: bytes received before this handler was added.
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
        // If both directions ended normally, bytes that are still on their way to the service are sent.
        case .spliced(let service): if !(inputIsFinished && service.isFinished) { service.end(.broken) }
        case .head, .moving, .deciding, .closing: break
        }
        endSplice()
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
            // The bytes that were read are released first, however long the connection lives.
            input.discardReadBytes()
            input.writeBuffer(&bytes)
        }
        process()
    }

    /// The visitor's reads are paused while the service or earlier requests do not keep up.
    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { isReadHeld = true }
    }

    private var mayRead: Bool {
        switch state {
        case .head: true
        case .exchange(let exchange): input.readableBytes < Self.inputBytes && exchange.isWritable
        case .spliced(let service): service.isWritable
        case .moving, .deciding: false
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
        // The response is still needed. An incomplete request gets none.
        case .exchange(let exchange): if !exchange.isRequestEnded { context.close(promise: nil) }
        case .moving, .deciding: break
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
        case .deciding: close()
        }
    }

    /// A WebSocket counts as a request until it ends.
    func keep(_ permit: RequestPermit) { self.permit = permit }

    private func endSplice() {
        permit?.end()
        permit = nil
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
        case .moving, .deciding: return false
        }
    }

    /// RFC 9112, section 2.2: older clients may send one empty line after a request. Skip it.
    private func skipEmptyLine() {
        if input.getInteger(at: input.readerIndex, as: UInt16.self) == 0x0D0A { input.moveReaderIndex(forwardBy: 2) }
    }

    /// - Parameter isSecond: the request was counted already, and waited for its token.
    private func begin(_ head: RequestHead, _ found: ByteBuffer, isSecond: Bool = false) {
        // RFC 9110, section 7.4: the connection's certificate must be for the host of each request.
        if let host = head.host, let name = visitor.serverName, !server.hasOneCertificate(name, host) {
            return answer(.misdirected, to: head)
        }
        switch server.route(head) {
        case .answer(let answer): self.answer(answer, to: head)
        case .page(let bytes): write(bytes, thenCloses: !endsCleanly(head))
        case .tunnel(let handle, let policies):
            guard handle.loop.inEventLoop else { return move(to: handle, found) }
            guard handle.live.value.isOpen else { return answer(.ended, to: head) }
            serve(head, found, handle.live.value, handle.live.value.gates(policies), isSecond: isSecond)
        }
    }

    private func serve(
        _ head: RequestHead, _ found: ByteBuffer, _ tunnel: LiveTunnel, _ gates: [PolicyGate], isSecond: Bool
    ) {
        guard let context else { return }
        let client = server.proxies.client(visitor.address, head.block.values(.xForwardedFor))
        // A refused visitor does not use up a connection slot.
        let decision = Gate.decide(
            head, from: client, by: tunnel, gates, members: server.members,
            publicURL: server.configuration.publicURL, isSecond: isSecond, closes: !endsCleanly(head))
        let member: EdgeMember?
        switch decision {
        case .answer(let answer): return self.answer(answer, to: head)
        case .page(let bytes): return write(bytes, thenCloses: !endsCleanly(head))
        case .undecided(let token, let gate): return verify(token, gate, head, found)
        case .allowed(let found): member = found
        }
        guard attach(tunnel, context.channel) else {
            return answer(.tooMany(limit: tunnel.grant.connectionLimit ?? 0, plan: tunnel.grant.plan), to: head)
        }
        if let page = Gate.warning(for: head, by: tunnel) { return write(page, thenCloses: !endsCleanly(head)) }
        tunnel.note(member, on: context.channel)
        let permit = RequestPermit(gates.filter { $0.rules.countsRequests })
        if let refusal = permit.begin(now: .now()) { return answer(refusal, to: head) }
        let exchange = Exchange(head, on: tunnel, for: self, gates: gates, permit: permit, member: member)
        state = .exchange(exchange)
        clock.clear()
        exchange.begin()
    }

    /// Verifies a token on another thread, and then decides again.
    private func verify(
        _ token: String, _ gate: PolicyGate, _ head: RequestHead, _ found: ByteBuffer
    ) {
        guard let bearer = gate.rules.bearer, let loop = context?.eventLoop else { return }
        state = .deciding
        clock.clear()
        let bound = NIOLoopBound((self, head, found, gate), eventLoop: loop)
        let isTaken = server.background.run {
            let end = await bearer.verify(token, now: Double(Timestamp.now().milliseconds) / 1000)
            loop.execute {
                let (handler, head, found, gate) = bound.value
                guard case .deciding = handler.state, handler.context != nil else { return }
                handler.next()
                if let end { gate.accept(token, until: end) }
                if end == nil {
                    handler.answer(.token, to: head)
                } else {
                    // By the rules of now: they may have changed meanwhile.
                    handler.begin(head, found, isSecond: true)
                }
                handler.process()
                handler.readOn()
            }
        }
        if !isTaken {
            next()
            answer(.busy, to: head)
        }
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

    /// The machine's link is on another event loop: the connection moves there with the bytes it has sent.
    private func move(to handle: TunnelHandle, _ head: ByteBuffer) {
        guard let context else { return }
        state = .moving
        if let attached { attached.leave(ObjectIdentifier(context.channel)) }
        attached = nil
        let bound = NIOLoopBound((self, context.channel, head), eventLoop: context.eventLoop)
        let (server, visitor, connection) = (self.server, self.visitor, self.connection)
        // Not inside a read: TLS is still processing it.
        context.eventLoop.execute {
            let (handler, channel, head) = bound.value
            // Includes the bytes that were read since.
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
