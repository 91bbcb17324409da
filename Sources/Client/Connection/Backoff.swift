import NIOCore

/// Waits between reconnect attempts: short at first, later a tenth of what a person would wait, with jitter so that the
/// guests of a restarted server do not all reconnect at once.
struct Backoff {
    private static let steps: [Int64] = [100, 250, 500, 1000, 2000, 5000]
    private var attempt = 0

    mutating func reset() { attempt = 0 }

    mutating func next() -> TimeAmount {
        let base = Self.steps[min(attempt, Self.steps.count - 1)]
        attempt += 1
        return .milliseconds(base + Int64.random(in: 0...base / 2))
    }
}
