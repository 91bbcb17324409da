import NIOCore

/// How many frames of one kind a side may send: a token bucket that refills every second.
struct FrameAllowance {
    private let perSecond: Int
    private let burst: Int
    private var left: Int
    private var filledAt: NIODeadline

    /// - Parameter burst: frames that may be sent at once after a pause.
    init(perSecond: Int, burst: Int, now: NIODeadline) {
        self.perSecond = perSecond
        self.burst = burst
        left = burst
        filledAt = now
    }

    /// - Returns: false if the allowance is used up.
    mutating func take(now: NIODeadline) -> Bool {
        if left == 0 || now - filledAt > .seconds(1) { fill(now: now) }
        guard left > 0 else { return false }
        left -= 1
        return true
    }

    private mutating func fill(now: NIODeadline) {
        // At most the time that fills an empty bucket.
        let longest = Int64(burst) * 1_000_000_000 / Int64(perSecond) + 1
        let passed = min((now - filledAt).nanoseconds, longest)
        let gained = Int(passed) * perSecond / 1_000_000_000
        guard gained > 0 else { return }
        left = min(burst, left + gained)
        filledAt = now
    }
}
