public import NIOCore
import Synchronization

/// Passes an event of each kind only once per interval. Limits how often events that anybody can cause are recorded.
public final class OnceInAWhile: Sendable {
    /// Kinds that are remembered. Above this, those without an event for longest are dropped.
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
