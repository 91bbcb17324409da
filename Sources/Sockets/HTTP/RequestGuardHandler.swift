import NIOCore
import NIOHTTP1
import TransportSecurity

/// A request ended before it was complete, or cannot be parsed. Sent to the code that waits for the rest of the
/// request.
public struct BrokenRequest: Error {}

/// The first handler that sees each request. It refuses ambiguous requests, ends requests that take too long to arrive,
/// passes one request at a time, and makes sure that each gets one response, in order (``AnswerOrder``).
///
/// A pipelined request waits until the previous response was written to a socket that accepts more. Until then nothing
/// more is decoded or read (``RequestPacingHandler``), so a peer that does not read costs the memory of one response.
///
/// If two programs could read a body's length differently, a request can be smuggled past a proxy (RFC 9112, section
/// 11.2).
final class RequestGuardHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Input that arrived after a request that is not answered yet.
    private enum Held {
        case part(HTTPServerRequestPart)
        case failure(any Error)
        case inputClosed

        var isHead: Bool { if case .part(.head) = self { true } else { false } }
    }

    private let events: ConnectionEvents
    private let draining: Draining
    private let unread: UnreadAnswers
    private let overhead: RequestOverhead
    private let bounds: RequestBoundsLookup
    private var order = AnswerOrder()
    /// At most the decoded parts of one slice of input.
    private var held = CircularBuffer<Held>(initialCapacity: 0)
    private var readIsWanted = false
    private var deadline: Scheduled<Void>?
    private var stalled: Scheduled<Void>?

    init(
        events: ConnectionEvents, draining: Draining, unread: UnreadAnswers, overhead: RequestOverhead,
        bounds: @escaping RequestBoundsLookup
    ) {
        self.bounds = bounds
        self.events = events
        self.draining = draining
        self.unread = unread
        self.overhead = overhead
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        guard held.isEmpty, mayReceive(.part(part), context) else { return held.append(.part(part)) }
        receive(part, context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if held.isEmpty { fail(error, context) } else { held.append(.failure(error)) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if !held.isEmpty {
            if case ChannelEvent.inputClosed = event { return held.append(.inputClosed) }
            // Sent again after the head of the next request.
            if event is ChannelShouldQuiesceEvent { return }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func read(context: ChannelHandlerContext) {
        if held.isEmpty { context.read() } else { readIsWanted = true }
    }

    private func mayReceive(_ next: Held, _ context: ChannelHandlerContext) -> Bool {
        !next.isHead || order.isIdle && context.channel.isWritable
    }

    /// Passes held parts on, up to the next request that has to wait.
    private func release(_ context: ChannelHandlerContext) {
        var hasReleased = false
        while let next = held.first, mayReceive(next, context) {
            held.removeFirst()
            hasReleased = true
            switch next {
            case .part(let part): receive(part, context)
            case .failure(let error): fail(error, context)
            case .inputClosed: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            }
        }
        if hasReleased { context.fireChannelReadComplete() }
        guard held.isEmpty, readIsWanted else { return }
        readIsWanted = false
        context.read()
    }

    private func releaseSoon(_ context: ChannelHandlerContext) {
        guard !held.isEmpty else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.0.release(bound.value.1) }
    }

    private func receive(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch part {
        case .head(let head):
            overhead.bytes = 0
            let isUnambiguous = Self.isUnambiguous(head)
            if !isUnambiguous { events.malformed() }
            let verdict = order.head(
                isUnambiguous: isUnambiguous, isLast: Self.isLast(head), wantsHeadAlone: head.method == .HEAD)
            guard take(verdict, context) else { return }
            let bounds = self.bounds(head.method.rawValue, head.uri)
            overhead.limit = ConnectionLimits.headerBytes + bounds.bodyBytes
            startDeadline(context, bounds.deadline)
            inviteBody(head, bounds, context)
            context.fireChannelRead(wrapInboundOut(part))
            // After the head: a handler that gets the event between requests closes the connection, and this request
            // must still be answered.
            if draining.isUnderWay { context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        case .body(let bytes):
            overhead.bytes = max(0, overhead.bytes - bytes.readableBytes)
            if take(order.body(), context) { context.fireChannelRead(wrapInboundOut(part)) }
        case .end:
            overhead.bytes = 0
            guard take(order.end(), context) else { return }
            deadline?.cancel()
            context.fireChannelRead(wrapInboundOut(part))
        }
    }

    /// Answers `Expect: 100-continue` (RFC 9110, section 10.1.1). No 100 is sent if Content-Length exceeds the bound: the responder refuses
    /// that request.
    private func inviteBody(_ head: HTTPRequestHead, _ bounds: RequestBounds, _ context: ChannelHandlerContext) {
        guard !(head.version.major < 1 || head.version == .http1_0),
            head.headers["Expect"].contains(where: { $0.lowercased() == "100-continue" }),
            !bounds.isExceeded(byContentLength: head.headers.first(name: "Content-Length"))
        else { return }
        context.writeAndFlush(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        // Input after unreadable bytes.
        if error is ByteToMessageDecoderError { return }
        guard let unread = error as? HTTPParserError else {
            events.failed(error)
            return context.fireErrorCaught(error)
        }
        let wasArriving = order.isArriving
        let verdict = order.broken()
        // A connection that just ends was not an attack.
        if verdict != .ignore, unread != .invalidEOFState, unread != .closedConnection { events.malformed() }
        _ = take(verdict, context)
        guard wasArriving else { return }
        deadline?.cancel()
        // Otherwise the end of the connection would look like the end of the body.
        context.fireErrorCaught(BrokenRequest())
    }

    private func take(_ verdict: AnswerOrder.Incoming, _ context: ChannelHandlerContext) -> Bool {
        if verdict == .refuse { refuse(context) }
        return verdict == .pass
    }

    /// At most one transfer coding, which must be the one that every HTTP/1.1 program supports, without a length (RFC
    /// 9112, section 6.1). One host (section 3.2). A target that is valid for this server (section 3.2.1 and 3.2.2).
    static func isUnambiguous(_ request: HTTPRequestHead) -> Bool {
        let isOld = request.version == .http0_9 || request.version == .http1_0
        let hosts = request.headers["Host"]
        guard hosts.count == 1 || hosts.isEmpty && isOld, hosts.allSatisfy(isAuthority), isOurTarget(request) else {
            return false
        }
        let (codings, lengths) = (request.headers["Transfer-Encoding"], request.headers["Content-Length"])
        if codings.isEmpty { return lengths.count <= 1 }
        return codings.count == 1 && codings[0].lowercased() == "chunked" && lengths.isEmpty && !isOld
    }

    /// A name or an address, with or without a port (RFC 3986, section 3.2, without user information).
    private static func isAuthority(_ host: String) -> Bool {
        (1...255).contains(host.utf8.count)
            && host.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                    UInt8(ascii: "["), UInt8(ascii: "]"):
                    true
                default: false
                }
            }
    }

    /// A path, `*`, or the absolute form with one of our schemes.
    private static func isOurTarget(_ request: HTTPRequestHead) -> Bool {
        let target = request.uri.lowercased()
        return target.hasPrefix("/") || target.hasPrefix("http://") || target.hasPrefix("https://")
            || request.method == .OPTIONS && target == "*" || request.method == .CONNECT
    }

    /// Whether the client wants the connection to end, or the parser reads nothing after the request: it takes the
    /// following bytes for another protocol and would keep all of them.
    static func isLast(_ request: HTTPRequestHead) -> Bool {
        let isUpgrade =
            request.headers.contains(name: "Upgrade")
            && request.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "upgrade" }
        // Keep-alive of HTTP/1.0 is not supported here (RFC 9112, section 9.3): its client waits for the end of the
        // connection.
        return request.version.major < 1 || request.version == .http1_0 || !request.isKeepAlive || isUpgrade
            || request.method == .CONNECT
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let verdict: AnswerOrder.Outgoing
        switch unwrapOutboundIn(data) {
        case .head(var head):
            let isInterim = head.status.code / 100 == 1
            verdict = order.answerHead(isInterim: isInterim)
            if head.headers[canonicalForm: "Connection"].contains(where: { $0.lowercased() == "close" }) {
                order.endsWithThisAnswer()
            }
            if order.answersLast && verdict == .pass && !isInterim {
                head.headers.replaceOrAdd(name: "Connection", value: "close")
                return context.write(wrapOutboundOut(.head(head)), promise: promise)
            }
        case .body: verdict = order.answerBody()
        case .end: verdict = order.answerEnd()
        }
        if verdict == .skip { return promise?.succeed() ?? () }
        if verdict == .drop { return promise?.fail(BrokenRequest()) ?? () }
        context.write(data, promise: promise)
        if order.isIdle { releaseSoon(context) }
        if verdict == .passAndRefuse { refuse(context) }
        if verdict == .passAndClose { closeGracefully(context) }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        context.write(wrapOutboundOut(.head(.refusal)), promise: nil)
        context.write(wrapOutboundOut(.end(nil)), promise: nil)
        closeGracefully(context)
    }

    private func closeGracefully(_ context: ChannelHandlerContext) {
        context.flush()
        context.closeGracefully()
    }

    // MARK: Time

    /// A peer that does not read its response keeps a connection open and delays a shutdown.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stalled?.cancel()
        if context.channel.isWritable {
            unread.clear(context.channel)
            releaseSoon(context)
        } else {
            stalled = cut(context, after: ConnectionLimits.stalledAnswer)
            // Every socket channel knows the number of pending bytes.
            let waiting = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
            unread.stall(context.channel, bytes: waiting)
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        stalled?.cancel()
        unread.clear(context.channel)
        held.removeAll()
        context.fireChannelInactive()
    }

    private func startDeadline(_ context: ChannelHandlerContext, _ time: TimeAmount?) {
        deadline?.cancel()
        deadline = time.map { cut(context, after: $0) }
    }

    private func cut(_ context: ChannelHandlerContext, after time: TimeAmount) -> Scheduled<Void> {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: time) {
            let (handler, context) = bound.value
            handler.events.slow()
            // Close at once: a graceful close would wait behind the bytes that the peer does not read.
            context.triggerUserOutboundEvent(ImmediateClose(), promise: nil)
        }
    }
}

extension HTTPResponseHead {
    /// The response to a malformed or ambiguous request.
    static let refusal = HTTPResponseHead(
        version: .http1_1, status: .badRequest, headers: ["Connection": "close", "Content-Length": "0"])
}

extension ChannelHandlerContext {
    /// Closes our half after the last response is sent, and the rest soon after: if the socket is closed with unread
    /// bytes, TCP discards the response. A peer that does not read it gets no more time than in the middle of a
    /// response.
    func closeGracefully() {
        let (channel, loop) = (channel, eventLoop)
        let sent = loop.makePromise(of: Void.self)
        close(mode: .output, promise: sent)
        let patience = loop.scheduleTask(in: ConnectionLimits.stalledAnswer) { channel.close(promise: nil) }
        sent.futureResult.whenComplete { _ in
            patience.cancel()
            loop.scheduleTask(in: ConnectionLimits.gracefulClose) { channel.close(promise: nil) }
        }
    }
}
