import NIOCore
import NIOHTTP1

/// One connection of the client, for one exchange at a time. Everything here runs on the connection's event loop.
final class ClientConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    private enum State {
        case idle
        /// The request is being sent.
        case awaitingHead(Exchange)
        /// The answer's head was received.
        case receivingBody(Exchange, HTTPBody.Producer.Source)
        /// The error that closed the connection, if it happened before a request, for example a failed TLS handshake.
        case closed((any Error)?)
    }

    struct Exchange {
        let answer: EventLoopPromise<HTTPStreamedAnswer>
        /// Called once, when the answer is complete; true if the connection can be reused.
        let finished: (_ isReusable: Bool) -> Void
    }

    private var state = State.idle
    private var deadline: Scheduled<Void>?
    /// Whether the request's last part was written.
    private var requestIsWhole = false
    private var isKeptAlive = false
    /// Counts exchanges, because the reader of an earlier body may leave late.
    private var exchangeNumber = 0
    /// Whether the reader has enough for now.
    private var isPaused = false
    private var readIsWanted = false
    private var context: ChannelHandlerContext?
    /// The connection's last number in the pool; 0 before the first.
    var poolNumber = 0
    /// Called once when the connection closes, with ``poolNumber``.
    private let onClose: (Int) -> Void

    init(onClose: @escaping (Int) -> Void) { self.onClose = onClose }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    // MARK: Requests

    /// Sends a request's head. ``write(_:)`` and ``finish()`` send its body.
    func begin(_ head: HTTPRequestHead, _ exchange: Exchange, deadline: TimeAmount?) {
        guard case .idle = state, let context else {
            if case .closed(let error?) = state { return exchange.answer.fail(error) }
            return exchange.answer.fail(OutboundError.closed)
        }
        state = .awaitingHead(exchange)
        exchangeNumber += 1
        (requestIsWhole, isKeptAlive) = (false, false)
        if let deadline {
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            self.deadline = context.eventLoop.scheduleTask(in: deadline) { bound.value.fail(OutboundError.timeout) }
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    /// - Returns: succeeds when the socket has accepted the bytes.
    func write(_ bytes: ByteBuffer) -> EventLoopFuture<Void>? {
        guard let context, !isOver else { return nil }
        let promise = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: promise)
        return promise.futureResult
    }

    func finish() {
        guard let context, !isOver else { return }
        requestIsWhole = true
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private var isOver: Bool {
        switch state {
        case .awaitingHead, .receivingBody: false
        case .idle, .closed: true
        }
    }

    // MARK: Answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): receive(head)
        case .body(let bytes):
            guard case .receivingBody(_, let source) = state else { return }
            if case .stopProducing = source.yield(contentsOf: CollectionOfOne(bytes)) { isPaused = true }
        case .end: receiveEnd(context)
        }
    }

    private func receive(_ head: HTTPResponseHead) {
        guard case .awaitingHead(let exchange) = state, let context else {
            // There was no request.
            return fail(OutboundError.closed)
        }
        // 103 and similar: the final answer follows. 101 ends HTTP, which no request here asks for.
        if head.status.code < 200 { return }
        isKeptAlive = head.isKeepAlive
        let delegate = BodyDelegate(self, exchangeNumber, context.eventLoop)
        let made = HTTPBody.Producer.makeSequence(
            elementType: ByteBuffer.self, failureType: (any Error).self,
            backPressureStrategy: HTTPBody.watermarks, finishOnDeinit: true, delegate: delegate)
        state = .receivingBody(exchange, made.source)
        exchange.answer.succeed(
            HTTPStreamedAnswer(
                status: Int(head.status.code), headers: head.headers, body: HTTPBody(sequence: made.sequence)))
    }

    private func receiveEnd(_ context: ChannelHandlerContext) {
        guard case .receivingBody(let exchange, let source) = state else { return }
        deadline?.cancel()
        isPaused = false
        // If the answer came before the end of the request, the rest of the request would be taken for the next one.
        let isReusable = isKeptAlive && requestIsWhole
        state = isReusable ? .idle : .closed(nil)
        // Before the reader continues, so that its next request finds this connection.
        exchange.finished(isReusable)
        source.finish()
        if !isReusable { context.close(promise: nil) }
    }

    // MARK: Reading

    /// While the reader has enough, the socket is not read, so that the sender waits.
    func read(context: ChannelHandlerContext) {
        if isPaused { readIsWanted = true } else { context.read() }
    }

    fileprivate func resume(_ exchange: Int) {
        guard exchange == exchangeNumber else { return }
        isPaused = false
        guard readIsWanted, let context else { return }
        readIsWanted = false
        context.read()
    }

    // MARK: Closing

    /// Gives up an answer that is no longer needed. A late call does not end the next exchange.
    func abandon(_ answer: EventLoopFuture<HTTPStreamedAnswer>) {
        switch state {
        case .awaitingHead(let exchange) where exchange.answer.futureResult === answer: fail(OutboundError.closed)
        case .receivingBody(let exchange, _) where exchange.answer.futureResult === answer && !requestIsWhole:
            fail(OutboundError.closed)
        case .idle, .awaitingHead, .receivingBody, .closed: break
        }
    }

    /// Also called when the body has ended normally.
    fileprivate func readerLeft(_ exchange: Int) {
        if case .receivingBody = state, exchange == exchangeNumber { fail(OutboundError.closed) }
    }

    func close() {
        if case .idle = state { state = .closed(nil) }
        context?.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error) }

    func channelInactive(context: ChannelHandlerContext) {
        fail(OutboundError.closed)
        self.context = nil
        onClose(poolNumber)
        context.fireChannelInactive()
    }

    private func fail(_ error: any Error) {
        deadline?.cancel()
        let last = state
        switch last {
        case .idle: state = .closed(error)
        case .closed: break
        case .awaitingHead, .receivingBody: state = .closed(nil)
        }
        switch last {
        case .awaitingHead(let exchange):
            exchange.answer.fail(error)
            exchange.finished(false)
        case .receivingBody(let exchange, let source):
            source.finish(error)
            exchange.finished(false)
        case .idle, .closed: break
        }
        context?.close(promise: nil)
    }
}

/// Tells a connection that the reader of a body wants more, or has stopped.
final class BodyDelegate: NIOAsyncSequenceProducerDelegate, Sendable {
    private let connection: NIOLoopBound<ClientConnection>
    private let exchange: Int
    private let loop: any EventLoop

    init(_ connection: ClientConnection, _ exchange: Int, _ loop: any EventLoop) {
        self.exchange = exchange
        self.connection = NIOLoopBound(connection, eventLoop: loop)
        self.loop = loop
    }

    func produceMore() { loop.execute { self.connection.value.resume(self.exchange) } }

    func didTerminate() { loop.execute { self.connection.value.readerLeft(self.exchange) } }
}
