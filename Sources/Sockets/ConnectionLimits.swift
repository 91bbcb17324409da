import NIOCore

/// The limits of every connection. The limits of a request's body depend on its route (``RequestBounds``).
enum ConnectionLimits {
    /// The maximum size of all headers of a request, in bytes: a 2 KiB token and room for proxies.
    static let headerBytes = 16 << 10
    static let headerCount = 100
    /// The time a new connection has to send its complete first request.
    static let firstRequest = TimeAmount.seconds(15)
    /// The same timeout while the server is stopping.
    static let firstRequestWhileDraining = TimeAmount.seconds(2)
    /// How long a peer may leave its response unread.
    static let stalledAnswer = TimeAmount.seconds(30)
    /// How long a peer has to read a refusal before its connection is closed.
    static let gracefulClose = TimeAmount.seconds(1)
    /// How long a kept-alive connection may wait for the next request.
    static let idle = TimeAmount.seconds(60)
}
