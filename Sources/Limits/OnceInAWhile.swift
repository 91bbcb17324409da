public import NIOCore
import Synchronization

/// Lets something of each kind through once in a while: what strangers can cause in any number is written down this often.
public final class OnceInAWhile: Sendable {
    /// Kinds remembered; beyond it those without an event for longest are forgotten.
    private static let capacity = 20_000

    private let window: TimeAmount
    private let last = Mutex(GenerationTable<NIODeadline>(capacity: OnceInAWhile.capacity))

    public init(_ window: TimeAmount) { self.window = window }

    public func take(_ key: String, now: NIODeadline = .now()) -> Bool {
        last.withLock { last in
            if let before = last[key], now < before + window { return false }
            _ = last.set(key, to: now)
            return true
        }
    }
}
