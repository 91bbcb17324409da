import Glibc
import NIOCore

/// Counts and logs connections that cannot be accepted. NIO's `AcceptBackoffHandler` behind it waits before the next
/// try: the listening socket stays readable, and an immediate retry would use a whole core.
final class AcceptFailureHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    /// Long enough that the retries cost little, and short enough that nobody notices the delay once a descriptor is
    /// free again.
    private static let pause = TimeAmount.milliseconds(100)

    private let events: ConnectionEvents

    init(events: ConnectionEvents) { self.events = events }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, Self.pause(after: error) != nil { events.acceptFailed(error) }
        context.fireErrorCaught(error)
    }

    /// - Returns: nil for errors of this one connection. They do not affect the next one.
    static func pause(after error: IOError) -> TimeAmount? {
        [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) ? pause : nil
    }
}
