import NIOCore
import Synchronization

/// Token buckets by key: each refills steadily and holds a minute's worth.
final class RateLimiter: Sendable {
    /// Keys remembered. Above it the ones that have recovered are forgotten, and if none has, newcomers are refused:
    /// an attacker with that many addresses must not get the memory.
    static let capacity = 20_000

    private struct Bucket {
        var tokens: Double
        var updated: NIODeadline
    }

    private let rate: Mutex<Double>
    private let state = Mutex<(buckets: [String: Bucket], sweptAt: NIODeadline)>(([:], .uptimeNanoseconds(0)))

    init(perMinute: Int) { rate = Mutex(Double(perMinute)) }

    func change(perMinute: Int) { rate.withLock { $0 = Double(perMinute) } }

    /// Takes one token.
    /// - Returns: nil, or the whole seconds after which there will be one.
    func refuse(_ key: String, now: NIODeadline = .now()) -> Int? {
        let perMinute = rate.withLock { $0 }
        return state.withLock { state in
            if state.buckets[key] == nil, state.buckets.count >= Self.capacity {
                // At most once a second: going through all of them is what an attacker would make us do.
                guard now - state.sweptAt >= .seconds(1) else { return 60 }
                state.sweptAt = now
                state.buckets = state.buckets.filter { refilled($0.value, now, perMinute) < perMinute }
                if state.buckets.count >= Self.capacity { return 60 }
            }
            let bucket = state.buckets[key] ?? Bucket(tokens: perMinute, updated: now)
            let tokens = refilled(bucket, now, perMinute)
            guard tokens >= 1 else {
                state.buckets[key] = Bucket(tokens: tokens, updated: now)
                return Int(((1 - tokens) * 60 / perMinute).rounded(.up))
            }
            state.buckets[key] = Bucket(tokens: tokens - 1, updated: now)
            return nil
        }
    }

    private func refilled(_ bucket: Bucket, _ now: NIODeadline, _ perMinute: Double) -> Double {
        min(perMinute, bucket.tokens + Double((now - bucket.updated).nanoseconds) / 60e9 * perMinute)
    }
}

/// Connections at once by address.
final class ConnectionCounter: Sendable {
    private let limit: Atomic<Int>
    private let counts = Mutex<[String: Int]>([:])

    init(limit: Int) { self.limit = Atomic(limit) }

    func change(limit: Int) { self.limit.store(limit, ordering: .relaxed) }

    /// False when the address has as many as it may have.
    func enter(_ address: String) -> Bool {
        counts.withLock {
            guard $0[address, default: 0] < limit.load(ordering: .relaxed) else { return false }
            $0[address, default: 0] += 1
            return true
        }
    }

    func leave(_ address: String) {
        counts.withLock {
            let left = $0[address, default: 1] - 1
            $0[address] = left > 0 ? left : nil
        }
    }
}
