import NIOCore

/// Asks a proxy for a tunnel (RFC 9110, section 9.3.6). When the tunnel is open, it adds the handlers of the connection
/// and leaves the pipeline.
final class ConnectHandler<Value: Sendable>: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Maximum size of a proxy's answer, in bytes.
    private static var answerLimit: Int { 8 << 10 }

    private let authority: String
    private let opened: EventLoopPromise<Value>
    private let initialize: (any Channel) throws -> Value
    private var answer = ByteBuffer()

    /// - Parameters:
    ///   - opened: succeeds when the tunnel is open.
    ///   - initialize: adds the handlers of the connection.
    init(
        authority: String, opened: EventLoopPromise<Value>, initialize: @escaping (any Channel) throws -> Value
    ) {
        self.initialize = initialize
        self.authority = authority
        self.opened = opened
    }

    func channelActive(context: ChannelHandlerContext) {
        let request = "CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        answer.writeBuffer(&bytes)
        guard let end = answer.readableBytesView.firstRange(of: "\r\n\r\n".utf8) else {
            if answer.readableBytes > Self.answerLimit { fail(OutboundError.proxy("an overlong response"), context) }
            return
        }
        let text = answer.readString(length: end.upperBound - answer.readerIndex) ?? ""
        let line = text.prefix { $0 != "\r\n" && $0 != "\r" }
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].count == 3, words[1].first == "2" else {
            return fail(OutboundError.proxy(String(line.prefix(100))), context)
        }
        // Some servers, such as mail servers, send first, and the proxy may have sent those bytes along.
        do {
            let value = try initialize(context.channel)
            // Done first, because reading may close the connection.
            opened.succeed(value)
            if answer.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(answer)) }
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch { fail(error, context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        opened.fail(OutboundError.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error, context) }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        opened.fail(error)
        context.close(promise: nil)
    }
}
