import NIOCore
import Synchronization

/// Attempts by key, so many within a window; who goes on beyond that waits twice as long each time.
///
/// An attempt counts when it begins, so that many at once cannot all slip through; one that succeeds is given back.
final class AttemptLimiter: Sendable {
    /// Keys remembered; above it those that have recovered are forgotten, and if none has, newcomers wait.
    private static let capacity = 20_000
    /// The longest wait, in seconds: a day.
    private static let longest: Int64 = 86_400

    private struct Entry {
        var begun: NIODeadline
        var attempts = 0
        /// How often the key has been blocked without recovering in between.
        var blocks = 0
        var blockedUntil: NIODeadline?
        var recoversAt: NIODeadline
    }

    private let limit: Int
    private let window: TimeAmount
    private struct State {
        var entries: [String: Entry] = [:]
        var sweptAt = NIODeadline.uptimeNanoseconds(0)
    }

    private let state = Mutex(State())

    init(_ limit: Int, per window: TimeAmount) {
        self.limit = limit
        self.window = window
    }

    enum Outcome: Equatable {
        case go
        /// Whole seconds to wait; `isNew` when this attempt is the one too many.
        case wait(seconds: Int, isNew: Bool)
    }

    func begin(_ key: String, now: NIODeadline = .now()) -> Outcome {
        state.withLock { state in
            if state.entries[key] == nil, state.entries.count >= Self.capacity {
                // At most once a second: going through all of them is what an attacker would make us do.
                guard now - state.sweptAt >= .seconds(1) else { return .wait(seconds: 60, isNew: false) }
                state.sweptAt = now
                state.entries = state.entries.filter { $0.value.recoversAt > now }
                if state.entries.count >= Self.capacity { return .wait(seconds: 60, isNew: false) }
            }
            var entry = state.entries[key] ?? Entry(begun: now, recoversAt: now + window)
            if entry.recoversAt <= now { entry = Entry(begun: now, recoversAt: now + window) }
            if let until = entry.blockedUntil {
                if now < until { return .wait(seconds: Self.seconds(until - now), isNew: false) }
                entry.blockedUntil = nil
                (entry.attempts, entry.begun) = (0, now)
            }
            if now - entry.begun >= window { (entry.attempts, entry.begun) = (0, now) }
            entry.attempts += 1
            entry.recoversAt = now + window + window
            guard entry.attempts > limit else {
                state.entries[key] = entry
                return .go
            }
            let seconds = min((window.nanoseconds / 1_000_000_000) << Int64(min(entry.blocks, 16)), Self.longest)
            entry.blocks += 1
            entry.blockedUntil = now + .seconds(seconds)
            // Forgotten only after a wait and a window without a further attempt.
            entry.recoversAt = now + .seconds(2 * seconds) + window
            state.entries[key] = entry
            return .wait(seconds: Int(seconds), isNew: true)
        }
    }

    /// The attempt was no guess; those before it may have been.
    func giveBack(_ key: String) {
        state.withLock { if let entry = $0.entries[key], entry.attempts > 0 { $0.entries[key]?.attempts -= 1 } }
    }

    /// The attempt was no guess, and those before it were typing mistakes.
    func succeeded(_ key: String) { state.withLock { $0.entries[key] = nil } }

    private static func seconds(_ time: TimeAmount) -> Int { Int((time.nanoseconds + 999_999_999) / 1_000_000_000) }
}
