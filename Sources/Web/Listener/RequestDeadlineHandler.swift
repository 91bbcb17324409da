import NIOCore
import NIOHTTPTypes
import Telemetry

/// Cuts connections that take too long: to send their first request's head, or any request's body.
///
/// Sits at the head of a connection's HTTP pipeline, because nothing behind it knows of a request that is not whole yet.
final class RequestDeadlineHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart

    private let metrics: ServerMetrics
    private var deadline: Scheduled<Void>?

    init(metrics: ServerMetrics) { self.metrics = metrics }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            deadline = context.eventLoop.scheduleTask(in: WebConfiguration.wholeRequest) {
                let (handler, context) = bound.value
                handler.metrics.slowRequests.add()
                context.close(promise: nil)
            }
        case .body: break
        case .end: deadline?.cancel()
        }
        context.fireChannelRead(data)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }
}
