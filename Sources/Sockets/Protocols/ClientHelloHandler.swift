import NIOCore
import TransportSecurity

/// Holds a new connection's bytes until its client hello is complete. Then the `decide` closure chooses the protocol of
/// the connection.
///
/// This handler is first in the pipeline. After the decision it passes the bytes to the handlers that were added and
/// removes itself.
final class ClientHelloHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var held = ByteBuffer()
    private var isDecided = false
    private let decide: (ClientHello?) -> Void
    private let onTimeout: () -> Void
    private var deadline: Scheduled<Void>?

    /// - Parameters:
    ///   - onTimeout: called if the hello did not arrive in time and the connection is closed.
    ///   - decide: adds handlers behind this one. Its argument is nil if the bytes are not a client hello.
    init(onTimeout: @escaping () -> Void = {}, decide: @escaping (ClientHello?) -> Void) {
        self.onTimeout = onTimeout
        self.decide = decide
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: TLSLimits.handshakeDeadline) {
            let (handler, context) = bound.value
            handler.onTimeout()
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard !isDecided else { return context.fireChannelRead(data) }
        held.writeBuffer(&bytes)
        switch ClientHello.read(held) {
        case .needsMore where held.readableBytes < ClientHello.sizeLimit: context.read()
        case .hello(let hello): pass(hello, context)
        case .needsMore, .other: pass(nil, context)
        }
    }

    /// If a peer closes its side first, no protocol is chosen: TLS handles the end of the connection.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event, !isDecided { pass(nil, context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func pass(_ hello: ClientHello?, _ context: ChannelHandlerContext) {
        isDecided = true
        deadline?.cancel()
        decide(hello)
        if held.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(held))
            context.fireChannelReadComplete()
        }
        held = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
