import NIOCore

/// Asks a proxy for a tunnel (RFC 9110, section 9.3.6), and leaves the pipeline when it is open.
final class ConnectHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A proxy's whole answer, in bytes.
    private static let answerLimit = 8 << 10

    private let authority: String
    private let opened: EventLoopPromise<Void>
    private var answer = ByteBuffer()

    /// - Parameter opened: succeeds when bytes go through the tunnel.
    init(authority: String, opened: EventLoopPromise<Void>) {
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
        let text = String(buffer: answer)
        guard let end = text.firstRange(of: "\r\n\r\n") else {
            if answer.readableBytes > Self.answerLimit { fail(OutboundError.proxy("a long answer"), context) }
            return
        }
        let line = text.prefix { $0 != "\r\n" && $0 != "\r" }
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].count == 3, words[1].first == "2" else {
            return fail(OutboundError.proxy(String(line.prefix(100))), context)
        }
        // The server behind the tunnel says nothing before TLS does.
        guard end.upperBound == text.endIndex else { return fail(OutboundError.proxy("bytes before TLS"), context) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
        opened.succeed()
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
