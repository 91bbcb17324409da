import NIOCore

/// Applies a timeout to a new connection until its first request is complete. The time includes the TLS handshake.
///
/// A silent client must not stay connected without limit and must not delay a shutdown.
final class FirstRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let events: ConnectionEvents
    private let isDraining: Bool
    private var deadline: Scheduled<Void>?
    /// True if we closed the connection, not the peer.
    private var wasCut = false

    init(events: ConnectionEvents, isDraining: Bool) {
        self.events = events
        self.isDraining = isDraining
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let time = isDraining ? ConnectionLimits.firstRequestWhileDraining : ConnectionLimits.firstRequest
        schedule(context, time, isSlow: !isDraining)
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if !wasCut { events.unused() }
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            schedule(context, ConnectionLimits.firstRequestWhileDraining, isSlow: false)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func schedule(_ context: ChannelHandlerContext, _ time: TimeAmount, isSlow: Bool) {
        deadline?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: time) {
            let (handler, context) = bound.value
            handler.wasCut = true
            if isSlow { handler.events.slow() }
            // Do not `close` through TLS: that would wait for the peer's close_notify.
            context.close(promise: nil)
        }
    }
}
