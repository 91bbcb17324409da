import NIOCore

/// Counts one connection for as long as it lasts, even if it moves from one channel to another.
final class ConnectionLease: Sendable {
    private let end: @Sendable () -> Void

    /// - Parameter end: called once, after the last channel that holds the lease has closed.
    init(end: @escaping @Sendable () -> Void) { self.end = end }

    deinit { end() }

    /// - Parameter channel: holds the lease until it closes.
    func hold(until channel: any Channel) {
        channel.closeFuture.whenComplete { _ in withExtendedLifetime(self) {} }
    }
}
