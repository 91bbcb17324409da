import Logging
import Synchronization

/// The log level, which a reload may change while loggers are in use everywhere.
final class LogSettings: Sendable {
    static let shared = LogSettings()
    private let current = Mutex(Logger.Level.info)

    var level: Logger.Level {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}
