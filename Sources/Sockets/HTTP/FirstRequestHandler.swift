import NIOCore

/// Holds a new connection to its deadline until its first request is whole, TLS handshake included.
///
/// A silent client must neither live for ever nor hold a shutdown open.
final class FirstRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let events: ConnectionEvents
    private let isDraining: Bool
    private var deadline: Scheduled<Void>?
    /// By us: the other side did not end it.
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
            // Not `close` through TLS: that would wait for the peer's close_notify.
            context.close(promise: nil)
        }
    }
}
