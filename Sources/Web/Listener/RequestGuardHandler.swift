import NIOCore
import NIOHTTP1

/// A request ended before it was whole, or in a way that cannot be read: whoever waits for the rest of it hears this.
struct BrokenRequest: Error {}

/// The first to see each request: refuses those whose meaning is in doubt, cuts those that take too long to arrive, and sees to it
/// that each gets one answer, in order (``AnswerOrder``).
///
/// A body whose length two programs could read differently is how requests are smuggled past a proxy (RFC 9112, section 11.2).
final class RequestGuardHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let events: DoorEvents
    private let draining: Draining
    private var order = AnswerOrder()
    private var deadline: Scheduled<Void>?
    private var stalled: Scheduled<Void>?

    init(events: DoorEvents, draining: Draining) {
        self.events = events
        self.draining = draining
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            let isCertain = Self.isCertain(head)
            if !isCertain { events.malformed() }
            let verdict = order.head(
                isCertain: isCertain, isLast: Self.isLast(head), wantsHeadAlone: head.method == .HEAD)
            guard take(verdict, context) else { return }
            startDeadline(context)
            context.fireChannelRead(data)
            // Only now: who hears it between two requests closes at once, and this one is to be answered.
            if draining.isUnderWay { context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        case .body: if take(order.body(), context) { context.fireChannelRead(data) }
        case .end:
            guard take(order.end(), context) else { return }
            deadline?.cancel()
            context.fireChannelRead(data)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What comes behind something unreadable.
        if error is ByteToMessageDecoderError { return }
        guard let unread = error as? HTTPParserError else {
            events.failed(error)
            return context.fireErrorCaught(error)
        }
        let wasArriving = order.isArriving
        let verdict = order.broken()
        // A connection that just ends was no attack.
        if verdict != .ignore, unread != .invalidEOFState, unread != .closedConnection { events.malformed() }
        _ = take(verdict, context)
        guard wasArriving else { return }
        deadline?.cancel()
        // Otherwise the end of the connection would be taken for the end of the body.
        context.fireErrorCaught(BrokenRequest())
    }

    private func take(_ verdict: AnswerOrder.Incoming, _ context: ChannelHandlerContext) -> Bool {
        if verdict == .refuse { refuse(context) }
        return verdict == .pass
    }

    /// One coding at most, the one that every HTTP/1.1 program knows, and no length beside it (RFC 9112, section 6.1); and one
    /// host (section 3.2).
    static func isCertain(_ request: HTTPRequestHead) -> Bool {
        let isOld = request.version == .http0_9 || request.version == .http1_0
        let hosts = request.headers["Host"].count
        guard hosts == 1 || hosts == 0 && isOld else { return false }
        let (codings, lengths) = (request.headers["Transfer-Encoding"], request.headers["Content-Length"])
        if codings.isEmpty { return lengths.count <= 1 }
        return codings.count == 1 && codings[0].lowercased() == "chunked" && lengths.isEmpty && !isOld
    }

    /// Whether its sender wants the connection to end, or its parser reads nothing behind it: it takes what follows for another
    /// protocol, and would keep all of it.
    static func isLast(_ request: HTTPRequestHead) -> Bool {
        let isUpgrade =
            request.headers.contains(name: "Upgrade")
            && request.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "upgrade" }
        // What HTTP/1.0 says of keeping alive is not spoken here (RFC 9112, section 9.3): its client waits for the end.
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
        if verdict == .passAndRefuse { refuse(context) }
        if verdict == .passAndClose { sayFarewell(context) }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        context.write(wrapOutboundOut(.head(.refusal)), promise: nil)
        context.write(wrapOutboundOut(.end(nil)), promise: nil)
        sayFarewell(context)
    }

    private func sayFarewell(_ context: ChannelHandlerContext) {
        context.flush()
        context.closeAfterFarewell()
    }

    // MARK: Time

    /// A peer that does not read its answer holds a connection, and a shutdown.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stalled?.cancel()
        if !context.channel.isWritable {
            stalled = cut(context, after: WebConfiguration.stalledAnswer)
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        stalled?.cancel()
        context.fireChannelInactive()
    }

    private func startDeadline(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = cut(context, after: WebConfiguration.wholeRequest)
    }

    private func cut(_ context: ChannelHandlerContext, after time: TimeAmount) -> Scheduled<Void> {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: time) {
            let (handler, context) = bound.value
            handler.events.slow()
            context.close(promise: nil)
        }
    }
}

extension HTTPResponseHead {
    /// What is no HTTP gets this and no more.
    static let refusal = HTTPResponseHead(
        version: .http1_1, status: .badRequest, headers: ["Connection": "close", "Content-Length": "0"])
}

extension ChannelHandlerContext {
    /// Closes our half when the last answer has left, and the rest soon after: closing with unread bytes would make TCP throw the
    /// answer away. A peer that does not take it is not waited for any longer than in the middle of one.
    func closeAfterFarewell() {
        let (channel, loop) = (channel, eventLoop)
        let sent = loop.makePromise(of: Void.self)
        close(mode: .output, promise: sent)
        let patience = loop.scheduleTask(in: WebConfiguration.stalledAnswer) { channel.close(promise: nil) }
        sent.futureResult.whenComplete { _ in
            patience.cancel()
            loop.scheduleTask(in: WebConfiguration.farewell) { channel.close(promise: nil) }
        }
    }
}
