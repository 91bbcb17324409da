import NIOCore

/// How much a guest may still send: a token bucket in bytes.
struct PeerAllowance {
    private let perSecond: Int
    private let burst: Int
    private var left: Int
    private var updated: NIODeadline

    init(perSecond: Int, burst: Int, now: NIODeadline) {
        self.perSecond = perSecond
        self.burst = burst
        left = burst
        updated = now
    }

    /// Returns false if the peer has sent more than it may.
    mutating func spend(_ bytes: Int, now: NIODeadline) -> Bool {
        if left < bytes {
            let milliseconds = min((now - updated).nanoseconds / 1_000_000, 60_000)
            left = min(burst, left + Int(milliseconds) * perSecond / 1000)
            updated = now
        }
        left -= bytes
        return left >= 0
    }
}
