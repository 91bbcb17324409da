public import NIOCore
import Synchronization

/// Token buckets by key. Each refills steadily and holds the tokens of one minute.
public final class RateLimiter: Sendable {
    /// Keys that are remembered. Above this, the keys that were unused for longest are dropped: a bucket that was not
    /// used for a minute is full again anyway. If more keys are active within a minute, IPv6 addresses are counted by
    /// their /48.
    public static let capacity = 20_000
    /// How long a table stays crowded after it dropped a bucket that was not full.
    private static let crowdedFor = TimeAmount.minutes(1)

    private struct Bucket {
        var tokens: Double
        var updated: NIODeadline
    }

    private struct State {
        var buckets = GenerationTable<Bucket>(capacity: RateLimiter.capacity)
        var crowdedUntil: NIODeadline?
    }

    private let rate: Mutex<Double>
    private let state = Mutex(State())

    public init(perMinute: Int) { rate = Mutex(Double(perMinute)) }

    public func change(perMinute: Int) { rate.withLock { $0 = Double(perMinute) } }

    /// Takes one token, if there is one.
    /// - Parameter key: an address in the form of ``ClientAddress/key``, or an account's id.
    /// - Returns: nil if a token was taken; otherwise the whole seconds until there is one.
    public func take(_ key: String, now: NIODeadline = .now()) -> Int? {
        let perMinute = rate.withLock { $0 }
        return state.withLock { state in
            let isCrowded = state.crowdedUntil.map { now < $0 } ?? false
            let key = isCrowded ? ClientAddress.widened(key) : key
            let bucket = state.buckets[key] ?? Bucket(tokens: perMinute, updated: now)
            let tokens = refilled(bucket, now, perMinute)
            let dropped = state.buckets.set(key, to: Bucket(tokens: tokens >= 1 ? tokens - 1 : tokens, updated: now))
            if dropped.contains(where: { refilled($0, now, perMinute) < perMinute }) {
                state.crowdedUntil = now + Self.crowdedFor
            }
            return tokens >= 1 ? nil : Int(((1 - tokens) * 60 / perMinute).rounded(.up))
        }
    }

    private func refilled(_ bucket: Bucket, _ now: NIODeadline, _ perMinute: Double) -> Double {
        min(perMinute, bucket.tokens + Double((now - bucket.updated).nanoseconds) / 60e9 * perMinute)
    }
}
