import Logging
import Synchronization

/// The log level. A reload may change it while loggers are in use.
final class LogSettings: Sendable {
    static let shared = LogSettings()
    private let current = Mutex(Logger.Level.info)

    var level: Logger.Level {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}
