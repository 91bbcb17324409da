import NIOCore

/// Waits between attempts: random from the start, so that the machines of a restarted server do not all reconnect at
/// once.
struct LinkBackoff {
    private static let shortest: Int64 = 200
    private static let longest: Int64 = 20_000
    private var attempt = 0
    /// The server's request: the first attempt is made within this many milliseconds.
    private var spread: Int64 = 0

    /// - Parameter spread: the value from `WELCOME`, in milliseconds.
    mutating func reset(spread: Int = 0) {
        attempt = 0
        self.spread = Int64(max(0, min(spread, Int(Self.longest))))
    }

    /// - Parameter retryAfter: the wait that the server asks for, in milliseconds.
    mutating func next(retryAfter: Int?) -> TimeAmount {
        let most = max(attempt == 0 ? spread : 0, min(Self.longest, Self.shortest << min(attempt, 7)))
        attempt += 1
        return .milliseconds(Int64(retryAfter ?? 0) + Int64.random(in: 0...most))
    }
}
