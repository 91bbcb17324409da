public import Logging
import NIOCore
import Synchronization

/// Logs a message at most ``linesAtMost`` times in ``interval``: a flood of events must not become a flood of log lines.
public final class RateLimitedLog: Sendable {
    private struct State {
        var since: NIODeadline?
        var written = 0
        /// Events that were not logged yet.
        var suppressed = 0
    }

    private static let interval = TimeAmount.seconds(10)
    private let message: Logger.Message
    private let level: Logger.Level
    private let linesAtMost: Int
    private let state = Mutex(State())

    /// - Parameter linesAtMost: per ten seconds.
    public init(_ message: Logger.Message, level: Logger.Level = .warning, linesAtMost: Int = 1) {
        self.message = message
        self.level = level
        self.linesAtMost = linesAtMost
    }

    /// - Parameter metadata: of this event. `count` is added: the number of events since the previous line.
    public func log(to logger: Logger, metadata: @autoclosure () -> Logger.Metadata = [:]) {
        let count = state.withLock { state -> Int? in
            state.suppressed += 1
            if state.since.map({ NIODeadline.now() - $0 >= Self.interval }) ?? true {
                state.since = .now()
                state.written = 0
            }
            if state.written >= linesAtMost { return nil }
            state.written += 1
            defer { state.suppressed = 0 }
            return state.suppressed
        }
        guard let count else { return }
        logger.log(level: level, message, metadata: metadata().merging(["count": "\(count)"]) { $1 })
    }
}
