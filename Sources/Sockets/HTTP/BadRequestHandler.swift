import NIOCore
import NIOHTTP1

/// Closes a connection whose first bytes are not HTTP.
final class BadRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any
    typealias OutboundOut = HTTPServerResponsePart

    private let events: ConnectionEvents

    init(events: ConnectionEvents) { self.events = events }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        events.failed(error)
        if error is HTTPParserError {
            context.write(wrapOutboundOut(.head(.refusal)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.closeGracefully()
        context.fireErrorCaught(error)
    }
}
