public import Logging
import NIOCore
import Synchronization

/// Says that something keeps happening, at most so often in ``interval``: a flood must not become a flood of log lines.
public final class RepeatedEvent: Sendable {
    private struct State {
        var since: NIODeadline?
        var said = 0
        /// Those that are in no line yet.
        var unsaid = 0
    }

    private static let interval = TimeAmount.seconds(10)
    private let message: Logger.Message
    private let level: Logger.Level
    private let linesAtMost: Int
    private let state = Mutex(State())

    /// - Parameter linesAtMost: in ten seconds.
    public init(_ message: Logger.Message, level: Logger.Level = .warning, linesAtMost: Int = 1) {
        self.message = message
        self.level = level
        self.linesAtMost = linesAtMost
    }

    /// - Parameter metadata: of the one that was last. `count` is added: how many there were since the line before.
    public func note(_ logger: Logger, metadata: @autoclosure () -> Logger.Metadata = [:]) {
        let count = state.withLock { state -> Int? in
            state.unsaid += 1
            if state.since.map({ NIODeadline.now() - $0 >= Self.interval }) ?? true {
                state.since = .now()
                state.said = 0
            }
            if state.said >= linesAtMost { return nil }
            state.said += 1
            defer { state.unsaid = 0 }
            return state.unsaid
        }
        guard let count else { return }
        logger.log(level: level, message, metadata: metadata().merging(["count": "\(count)"]) { $1 })
    }
}
