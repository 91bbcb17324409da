import NIOCore

/// Waits between attempts: random from the start, so that all machines of a server that restarts do not come at once.
struct LinkBackoff {
    private static let shortest: Int64 = 200
    private static let longest: Int64 = 20_000
    private var attempt = 0
    /// The server's wish: the first try is made within this many milliseconds.
    private var spread: Int64 = 0

    /// - Parameter spread: as `WELCOME` says it, in milliseconds.
    mutating func reset(spread: Int = 0) {
        attempt = 0
        self.spread = Int64(max(0, min(spread, Int(Self.longest))))
    }

    /// - Parameter retryAfter: what the server asks for, in milliseconds.
    mutating func next(retryAfter: Int?) -> TimeAmount {
        let most = max(attempt == 0 ? spread : 0, min(Self.longest, Self.shortest << min(attempt, 7)))
        attempt += 1
        return .milliseconds(Int64(retryAfter ?? 0) + Int64.random(in: 0...most))
    }
}
