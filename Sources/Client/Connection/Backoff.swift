import NIOCore

/// Waits between attempts to reconnect: quick at first, then a tenth of what a person would wait, with jitter so that all
/// guests of a server that restarts do not come at once.
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
