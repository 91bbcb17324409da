/// A dictionary with a bound that forgets the entries which have not been used for longest, in constant time per entry.
///
/// Entries live in two generations. A new or used entry is in the young one; when that is full, the old generation is dropped and the
/// young one becomes the old one. A caller that is refused because a table is full would let an attacker with many keys shut everybody
/// out, so the table never refuses.
public struct GenerationTable<Value> {
    private var young: [String: Value] = [:]
    private var old: [String: Value] = [:]
    private let half: Int

    /// - Parameter capacity: entries at most.
    public init(capacity: Int) { half = max(1, capacity / 2) }

    public var count: Int { young.count + old.count }

    public subscript(key: String) -> Value? { young[key] ?? old[key] }

    public mutating func remove(_ key: String) {
        young[key] = nil
        old[key] = nil
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
