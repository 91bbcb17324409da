import NIOCore

/// Decides whether a room's broadcasts are sent at once or held to be sent together. In the long run there is one write
/// per ``RelayConfiguration/coalesceInterval``. After a pause, as many more are allowed as
/// ``RelayConfiguration/coalesceBurst`` holds.
struct BroadcastPacing {
    /// Broadcasts are held until then.
    private(set) var next = NIODeadline.uptimeNanoseconds(0)

    func isDue(_ now: NIODeadline) -> Bool { now >= next }

    /// Records that broadcasts were sent, and computes when the next are due. Also called for those sent before they
    /// were due (full batches).
    mutating func left(_ now: NIODeadline) {
        let saved = max(next, now - RelayConfiguration.coalesceBurst)
        next = min(saved, now) + RelayConfiguration.coalesceInterval
    }
}
