import NIOCore

/// Counts requests by key: each key may send a number of requests per minute, all of them at once or spread out (a token
/// bucket). A pure state machine.
struct RequestRate {
    /// The maximum number of keys. Above this, the keys that were used least recently are forgotten.
    static let capacity = 10_000

    private struct Bucket {
        var tokens: Double
        var at: NIODeadline
    }

    private let perMinute: Double
    private var buckets: [String: Bucket] = [:]
    /// When full buckets were last removed.
    private var sweptAt: NIODeadline

    init(perMinute: Int, now: NIODeadline) {
        self.perMinute = Double(perMinute)
        sweptAt = now
    }

    var count: Int { buckets.count }

    /// Counts a request.
    /// - Returns: nil if it may continue; otherwise the whole seconds to wait.
    mutating func begin(_ key: String, now: NIODeadline) -> Int? {
        if buckets.count >= Self.capacity, buckets[key] == nil { makeRoom(now) }
        var bucket = buckets[key] ?? Bucket(tokens: perMinute, at: now)
        bucket.tokens = tokens(of: bucket, now)
        bucket.at = now
        defer { buckets[key] = bucket }
        guard bucket.tokens >= 1 else { return max(1, Int(((1 - bucket.tokens) * 60 / perMinute).rounded(.up))) }
        bucket.tokens -= 1
        return nil
    }

    private func tokens(of bucket: Bucket, _ now: NIODeadline) -> Double {
        let minutes = Double((now - bucket.at).nanoseconds) / 60_000_000_000
        return min(perMinute, bucket.tokens + minutes * perMinute)
    }

    private mutating func makeRoom(_ now: NIODeadline) {
        // A full bucket is the same as none. Looking through all of them is worthwhile once a second.
        if now - sweptAt >= .seconds(1) {
            sweptAt = now
            buckets = buckets.filter { tokens(of: $0.value, now) < perMinute }
        }
        guard buckets.count >= Self.capacity else { return }
        // A tenth at once, so that sorting is rare.
        let oldest = buckets.sorted { $0.value.at < $1.value.at }.prefix(Self.capacity / 10)
        for (key, _) in oldest { buckets[key] = nil }
    }
}
