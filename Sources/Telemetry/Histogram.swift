import Synchronization

/// Counts how often a value was below each of several bounds, as Prometheus does.
public final class Histogram: Sendable {
    /// Seconds: from a cached answer to a person's patience.
    public static let latencySeconds: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
    ]
    /// The number of transactions in one fsync.
    public static let batchSizes: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

    public let bounds: [Double]
    private let state: Mutex<(buckets: [Int], sum: Double)>

    /// - Parameter bounds: in ascending order.
    public init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex((Array(repeating: 0, count: bounds.count + 1), 0))
    }

    public func record(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.buckets[index] += 1
            $0.sum += value
        }
    }

    /// Seconds since `start`.
    public func record(since start: ContinuousClock.Instant) {
        let elapsed = (ContinuousClock.now - start).components
        record(Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18)
    }

    /// Cumulative counts, one for each bound and one for all values, and the sum.
    var snapshot: (counts: [Int], sum: Double) {
        state.withLock { state in
            var total = 0
            return (
                state.buckets.map {
                    total += $0; return total
                }, state.sum
            )
        }
    }
}
