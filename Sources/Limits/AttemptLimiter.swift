public import NIOCore
import Synchronization

/// Counts attempts by key: a number of attempts per window, then a wait that doubles each time the key continues.
///
/// An attempt counts when it begins, so that parallel attempts cannot exceed the limit.
public final class AttemptLimiter: Sendable {
    /// Keys that are remembered. Above this, the keys without an attempt for longest are dropped, blocked ones last.
    public static let capacity = 20_000
    /// The maximum wait, in seconds: one day.
    private static let longest: Int64 = 86_400

    private struct Entry {
        var begun: NIODeadline
        var attempts = 0
        /// How often the key has been blocked without recovering in between.
        var blocks = 0
        var blockedUntil: NIODeadline?
        var recoversAt: NIODeadline
    }

    private struct State {
        var entries = GenerationTable<Entry>(capacity: AttemptLimiter.capacity)
        /// The time until which the table counts as crowded.
        var crowdedUntil: NIODeadline?
    }

    private let limit: Int
    private let window: TimeAmount
    private let onCrowded: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameter onCrowded: called when keys that have not recovered had to be dropped, at most once per window.
    public init(_ limit: Int, per window: TimeAmount, onCrowded: @escaping @Sendable () -> Void = {}) {
        self.limit = limit
        self.window = window
        self.onCrowded = onCrowded
    }

    public enum Outcome: Equatable {
        case go
        /// Whole seconds to wait. `isNew` is true if this attempt exceeded the limit.
        case wait(seconds: Int, isNew: Bool)
    }

    /// Whether more keys were active within the last window than the table holds. Callers then count larger groups as one key.
    public func isCrowded(now: NIODeadline = .now()) -> Bool {
        state.withLock { state in state.crowdedUntil.map { now < $0 } ?? false }
    }

    public func begin(_ key: String, now: NIODeadline = .now()) -> Outcome {
        let (outcome, hasBecomeCrowded) = state.withLock { state -> (Outcome, Bool) in
            var entry = state.entries[key] ?? Entry(begun: now, recoversAt: now + window)
            if entry.recoversAt <= now { entry = Entry(begun: now, recoversAt: now + window) }
            let outcome = count(&entry, now)
            let dropped = state.entries.set(key, to: entry) { $0.blockedUntil.map { now < $0 } ?? false }
            guard dropped.contains(where: { $0.recoversAt > now }) else { return (outcome, false) }
            let wasCrowded = state.crowdedUntil.map { now < $0 } ?? false
            state.crowdedUntil = now + window
            return (outcome, !wasCrowded)
        }
        if hasBecomeCrowded { onCrowded() }
        return outcome
    }

    private func count(_ entry: inout Entry, _ now: NIODeadline) -> Outcome {
        if let until = entry.blockedUntil {
            if now < until { return .wait(seconds: Self.seconds(until - now), isNew: false) }
            entry.blockedUntil = nil
            (entry.attempts, entry.begun) = (0, now)
        }
        if now - entry.begun >= window { (entry.attempts, entry.begun) = (0, now) }
        entry.attempts += 1
        entry.recoversAt = now + window + window
        guard entry.attempts > limit else { return .go }
        let seconds = min((window.nanoseconds / 1_000_000_000) << Int64(min(entry.blocks, 16)), Self.longest)
        entry.blocks += 1
        entry.blockedUntil = now + .seconds(seconds)
        // Forgotten only after a wait and a window without a further attempt.
        entry.recoversAt = now + .seconds(2 * seconds) + window
        return .wait(seconds: Int(seconds), isNew: true)
    }

    /// Whole seconds that a key has to wait now. Does not count an attempt.
    public func wait(of key: String, now: NIODeadline = .now()) -> Int? {
        state.withLock { state in
            guard let until = state.entries[key]?.blockedUntil, now < until else { return nil }
            return Self.seconds(until - now)
        }
    }

    /// Uncounts one attempt that succeeded. Earlier attempts for the key still count.
    public func giveBack(_ key: String) {
        state.withLock { state in
            state.entries.update(key) { $0.attempts = max(0, $0.attempts - 1) }
        }
    }

    /// Forgets the key and all its attempts.
    public func reset(_ key: String) { state.withLock { $0.entries.remove(key) } }

    private static func seconds(_ time: TimeAmount) -> Int { Int((time.nanoseconds + 999_999_999) / 1_000_000_000) }
}
