import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// The first to see each request: refuses those whose end is in doubt, and cuts those that take too long to arrive.
///
/// Nothing behind it knows of a request that is not whole yet. A body whose length two programs could read differently is how
/// requests are smuggled past a proxy (RFC 9112, section 11.2).
final class RequestGuardHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let events: DoorEvents
    private let draining: Draining
    private var deadline: Scheduled<Void>?
    private var stalled: Scheduled<Void>?
    private var isRefused = false

    init(events: DoorEvents, draining: Draining) {
        self.events = events
        self.draining = draining
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isRefused { return }
        switch unwrapInboundIn(data) {
        case .head(let request):
            guard Self.hasCertainLength(request) else { return refuse(context) }
            startDeadline(context)
            context.fireChannelRead(data)
            // Only now: who hears it between two requests closes at once, and this one is to be answered.
            if draining.isUnderWay { context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
            return
        case .body: break
        case .end: deadline?.cancel()
        }
        context.fireChannelRead(data)
    }

    /// A peer that does not read its answer holds a connection, and a shutdown.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stalled?.cancel()
        if !context.channel.isWritable {
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            stalled = context.eventLoop.scheduleTask(in: WebConfiguration.stalledAnswer) {
                let (handler, context) = bound.value
                handler.events.slow()
                context.close(promise: nil)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        stalled?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        events.failed(error)
        context.fireErrorCaught(error)
    }

    /// One coding at most, the one that every HTTP/1.1 program knows, and no length beside it.
    static func hasCertainLength(_ request: HTTPRequest) -> Bool {
        let codings = request.headerFields[values: .transferEncoding]
        if codings.isEmpty { return request.headerFields[values: .contentLength].count <= 1 }
        return codings.count == 1 && codings[0].lowercased() == "chunked"
            && request.headerFields[values: .contentLength].isEmpty
    }

    private func refuse(_ context: ChannelHandlerContext) {
        isRefused = true
        events.malformed()
        let answer = HTTPResponse(status: .badRequest, headerFields: [.connection: "close", .contentLength: "0"])
        context.write(wrapOutboundOut(.head(answer)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        let channel = context.channel
        context.close(mode: .output, promise: nil)
        context.eventLoop.scheduleTask(in: WebConfiguration.farewell) { channel.close(promise: nil) }
    }

    private func startDeadline(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: WebConfiguration.wholeRequest) {
            let (handler, context) = bound.value
            handler.events.slow()
            context.close(promise: nil)
        }
    }
}
