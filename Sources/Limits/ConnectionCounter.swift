import Synchronization

/// Counts concurrent connections by address.
public final class ConnectionCounter: Sendable {
    private let limit: Atomic<Int>
    private let counts = Mutex<[String: Int]>([:])

    public init(limit: Int) { self.limit = Atomic(limit) }

    public func change(limit: Int) { self.limit.store(limit, ordering: .relaxed) }

    /// Returns false if the address has reached its limit.
    public func enter(_ address: String) -> Bool {
        counts.withLock {
            guard $0[address, default: 0] < limit.load(ordering: .relaxed) else { return false }
            $0[address, default: 0] += 1
            return true
        }
    }

    public func leave(_ address: String) {
        counts.withLock {
            let left = $0[address, default: 1] - 1
            $0[address] = left > 0 ? left : nil
        }
    }
}
