import NIOCore

/// When a room's broadcasts leave at once, and when they wait for more of their kind: one write for each
/// ``RelayConfiguration/coalesceInterval`` in the long run, and as many more after a pause as ``RelayConfiguration/coalesceBurst`` holds.
struct BroadcastPacing {
    /// Until then broadcasts wait.
    private(set) var next = NIODeadline.uptimeNanoseconds(0)

    func isDue(_ now: NIODeadline) -> Bool { now >= next }

    /// Records that broadcasts were sent, and computes when the next are due. Also called for those sent before they were due (full batches).
    mutating func left(_ now: NIODeadline) {
        let saved = max(next, now - RelayConfiguration.coalesceBurst)
        next = min(saved, now) + RelayConfiguration.coalesceInterval
    }
}
