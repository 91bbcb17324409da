public import NIOCore
public import NIOHTTP1
import NIOPosix

/// An answer, whole.
public struct HTTPAnswer: Sendable {
    public let status: Int
    public let headers: HTTPHeaders
    public let body: ByteBuffer
}

/// One HTTP request on one connection, with or without TLS: for callers that make a handful in their life.
public struct HTTPExchange: Sendable {
    public struct Limits: Sendable {
        /// Body of an answer, in bytes.
        public var bodyBytes = 1 << 20
        /// Connecting, and then the whole exchange.
        public var time = TimeAmount.seconds(15)

        public init() {}
    }

    public let host: String
    public let port: Int
    /// Nil speaks plain HTTP.
    public let tls: TLSContext?
    public var limits = Limits()

    public init(host: String, port: Int, tls: TLSContext?) {
        self.host = host
        self.port = port
        self.tls = tls
    }

    /// Sends one request and waits for its answer. `Host`, `Content-Length` and `Connection` are set here.
    /// - Throws: ``TLSError``, NIO's errors, ``HTTPExchangeError``.
    public func send(
        _ method: HTTPMethod, _ path: String, headers: HTTPHeaders = [:], body: ByteBuffer? = nil
    ) async throws -> HTTPAnswer {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: HTTPAnswer.self)
        var all = headers
        all.replaceOrAdd(name: "Connection", value: "close")
        if let body { all.replaceOrAdd(name: "Content-Length", value: String(body.readableBytes)) }
        if body == nil && method == .POST { all.replaceOrAdd(name: "Content-Length", value: "0") }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: all)
        let (tls, host, limits) = (self.tls, self.host, self.limits)
        let connected = ClientBootstrap(group: loop)
            .connectTimeout(limits.time)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(TLSHandler.client(tls, serverName: host)) }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(ExchangeHandler(head: head, body: body, limits: limits, promise: promise))
                }
            }
            .connect(host: host, port: port)
        connected.whenFailure { promise.fail($0) }
        return try await promise.futureResult.get()
    }
}

public enum HTTPExchangeError: Error, Sendable {
    /// The answer's body is longer than the limit.
    case tooLong
    case timeout
    /// The connection ended before the answer was whole.
    case closed
}

private final class ExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    private let body: ByteBuffer?
    private let limits: HTTPExchange.Limits
    private let promise: EventLoopPromise<HTTPAnswer>
    private var answer: HTTPResponseHead?
    private var collected = ByteBuffer()
    private var deadline: Scheduled<Void>?

    init(
        head: HTTPRequestHead, body: ByteBuffer?, limits: HTTPExchange.Limits, promise: EventLoopPromise<HTTPAnswer>
    ) {
        self.head = head
        self.body = body
        self.limits = limits
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: limits.time) {
            bound.value.0.fail(HTTPExchangeError.timeout, bound.value.1)
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        // 103 and the like: the answer itself is still to come.
        case .head(let head): if head.status.code >= 200 { answer = head }
        case .body(let bytes):
            collected.writeImmutableBuffer(bytes)
            if collected.readableBytes > limits.bodyBytes { fail(HTTPExchangeError.tooLong, context) }
        case .end:
            guard let answer else { return }
            deadline?.cancel()
            promise.succeed(HTTPAnswer(status: Int(answer.status.code), headers: answer.headers, body: collected))
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error, context) }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        promise.fail(HTTPExchangeError.closed)
        context.fireChannelInactive()
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        promise.fail(error)
        context.close(promise: nil)
    }
}
