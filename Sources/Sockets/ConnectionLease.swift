import NIOCore

/// What is counted for one connection for as long as it lasts, whichever channels carry it one after the other.
final class ConnectionLease: Sendable {
    private let end: @Sendable () -> Void

    /// - Parameter end: called once, when the last channel that holds it has closed.
    init(end: @escaping @Sendable () -> Void) { self.end = end }

    deinit { end() }

    /// - Parameter channel: holds the lease until it closes.
    func hold(until channel: any Channel) {
        channel.closeFuture.whenComplete { _ in withExtendedLifetime(self) {} }
    }
}
