import Glibc
import NIOCore

/// Counts and logs that connections cannot be accepted. NIO's `AcceptBackoffHandler` behind it waits a moment before the next try: the
/// listening socket stays readable, and trying at once would take a whole core.
final class AcceptFailureHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    /// Long enough that the tries cost nothing, short enough that nobody notices when a descriptor is free again.
    private static let pause = TimeAmount.milliseconds(100)

    private let events: ConnectionEvents

    init(events: ConnectionEvents) { self.events = events }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, Self.pause(after: error) != nil { events.acceptFailed(error) }
        context.fireErrorCaught(error)
    }

    /// - Returns: nil for errors of the one connection, which say nothing about the next.
    static func pause(after error: IOError) -> TimeAmount? {
        [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) ? pause : nil
    }
}
