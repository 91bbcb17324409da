import NIOCore

/// Ends a connection whose first bytes were no HTTP, behind the 400 that NIO has written.
///
/// Only our half at first: closing with unread bytes would make TCP throw the answer away.
final class BadRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let events: DoorEvents

    init(events: DoorEvents) { self.events = events }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        events.failed(error)
        let channel = context.channel
        context.close(mode: .output, promise: nil)
        context.eventLoop.scheduleTask(in: WebConfiguration.farewell) { channel.close(promise: nil) }
        context.fireErrorCaught(error)
    }
}
