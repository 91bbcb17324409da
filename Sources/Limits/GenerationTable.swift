/// A bounded dictionary that drops the entries that were not written for longest, in constant time per entry.
///
/// Entries are in two generations. `set` puts an entry in the young one; reading does not move it. When the young
/// generation is full, the old one is dropped and the young one takes its place. The table never refuses an entry:
/// otherwise an attacker with many keys could fill it and lock everybody else out.
public struct GenerationTable<Value> {
    private var young: [String: Value] = [:]
    private var old: [String: Value] = [:]
    private let half: Int

    /// - Parameter capacity: maximum number of entries.
    public init(capacity: Int) { half = max(1, capacity / 2) }

    public var count: Int { young.count + old.count }

    public subscript(key: String) -> Value? { young[key] ?? old[key] }

    public mutating func remove(_ key: String) {
        young[key] = nil
        old[key] = nil
    }

    /// Changes an entry in place, so that nothing is dropped. Does nothing if the entry does not exist.
    public mutating func update(_ key: String, _ change: (inout Value) -> Void) {
        if var value = young[key] {
            change(&value)
            young[key] = value
        } else if var value = old[key] {
            change(&value)
            old[key] = value
        }
    }

    /// - Parameter keep: entries that should outlive their generation; at most half a generation of them are kept.
    /// - Returns: the entries that were dropped to make room.
    public mutating func set(_ key: String, to value: Value, keep: (Value) -> Bool = { _ in false }) -> [Value] {
        old[key] = nil
        if young[key] != nil || young.count < half {
            young[key] = value
            return []
        }
        var dropped: [Value] = []
        var next: [String: Value] = [:]
        for (key, value) in old {
            if next.count < half / 2, keep(value) { next[key] = value } else { dropped.append(value) }
        }
        old = young
        young = next
        young[key] = value
        return dropped
    }
}

extension GenerationTable: Sendable where Value: Sendable {}
