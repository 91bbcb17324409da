import NIOCore

/// Bounds of every connection; those of one request's body are its route's (``RequestBounds``).
enum ConnectionLimits {
    /// All headers of a request, in bytes: a 2 KiB token and room for proxies.
    static let headerBytes = 16 << 10
    static let headerCount = 100
    /// A new connection's time to send its first request completely.
    static let firstRequest = TimeAmount.seconds(15)
    /// The same once the server is stopping.
    static let firstRequestWhileDraining = TimeAmount.seconds(2)
    /// How long a peer may leave its answer unread.
    static let stalledAnswer = TimeAmount.seconds(30)
    /// How long a peer gets to read a refusal before its connection is closed.
    static let gracefulClose = TimeAmount.seconds(1)
    /// A kept-alive connection's time until the next request.
    static let idle = TimeAmount.seconds(60)
}
