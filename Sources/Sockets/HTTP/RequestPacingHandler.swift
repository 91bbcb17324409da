import NIOCore
import NIOHTTP1
import TransportSecurity

/// Placed in front of the HTTP decoder. Gives it one slice of bytes per read (``PacedInput``). A handler behind the
/// decoder can then stop decoding as well as reading by holding back `read`. ``RequestGuardHandler`` does so while a
/// request is answered.
///
/// Also closes connections whose framing (chunk headers and extensions) is out of proportion to their content.
final class RequestPacingHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let overhead: RequestOverhead
    private var input = PacedInput()
    private var readIsWanted = false
    private var isDelivering = false
    /// The peer closed its side. Delivered after the held bytes.
    private var inputHasEnded = false

    init(overhead: RequestOverhead) { self.overhead = overhead }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let isNext = input.isEmpty && !isDelivering
        input.receive(unwrapInboundIn(data))
        // This read was requested. The bytes that arrive with it wait for the next one.
        if isNext, let slice = input.next() { give(slice, context) }
    }

    func read(context: ChannelHandlerContext) {
        readIsWanted = true
        deliver(context)
    }

    private func deliver(_ context: ChannelHandlerContext) {
        guard !isDelivering else { return }
        isDelivering = true
        while readIsWanted, let slice = input.next() {
            readIsWanted = false
            give(slice, context)
            context.fireChannelReadComplete()
            // A socket does the same after each read. A handler that has enough holds the read back and asks later.
            context.channel.read()
        }
        isDelivering = false
        guard input.isEmpty else { return }
        if inputHasEnded {
            inputHasEnded = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        if readIsWanted {
            readIsWanted = false
            context.read()
        }
    }

    private func give(_ slice: ByteBuffer, _ context: ChannelHandlerContext) {
        overhead.bytes += slice.readableBytes
        guard overhead.bytes <= overhead.limit else {
            input.removeAll()
            return context.fireErrorCaught(HTTPParserError.headerOverflow)
        }
        context.fireChannelRead(wrapInboundOut(slice))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event, !input.isEmpty { return inputHasEnded = true }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        input.removeAll()
        context.fireChannelInactive()
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is ImmediateClose else { return context.triggerUserOutboundEvent(event, promise: promise) }
        // TLS drops its connection without a close_notify. Without TLS no other handler would close it.
        context.triggerUserOutboundEvent(event, promise: nil)
        context.close(promise: promise)
    }

    /// The connection uses another protocol from here on. The held bytes are the start of it.
    func removeHandler(context: ChannelHandlerContext, removalToken: ChannelHandlerContext.RemovalToken) {
        while let bytes = input.next(atMost: .max) {
            context.fireChannelRead(wrapInboundOut(bytes))
            if input.isEmpty { context.fireChannelReadComplete() }
        }
        if inputHasEnded { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        if readIsWanted { context.read() }
        context.leavePipeline(removalToken: removalToken)
    }
}

/// The number of bytes of the current request that are not its content. Shared by the handlers in front of and behind
/// the decoder, on one event loop.
final class RequestOverhead {
    var bytes = 0
    /// Limits the head until the head is read. After that it allows a whole body in chunks of a few bytes, whose chunk
    /// headers are as long as the body.
    var limit = 2 * ConnectionLimits.headerBytes
}
