import Logging

extension Settings {
    /// The server's files and its log.
    static let serverGroup: [any AnyTypedSetting] = [
        logLevel, logFormat, logAddresses, eventLoops,
    ]

    static let state = TypedSetting.text(
        "state", .path, standard: "/var/lib/postern",
        "Directory of the database, keys and certificates; created if it is missing.")
    static let logLevel = TypedSetting<LogLevel>.choice(
        "log-level", standard: .info, "How much is logged.", reloads: true)
    static let logFormat = TypedSetting<LineLogHandler.Format>.choice(
        "log-format", standard: .logfmt, "Format of log lines.")
    static let logAddresses = TypedSetting.yesNo(
        "log-addresses", "Include clients' network addresses in the log.", reloads: true)
    static let eventLoops = TypedSetting.optionalNumber(
        "event-loops", 1...256,
        "Threads that serve connections and sessions; one for each processor if it is not set.")
}

/// The log level.
enum LogLevel: String, Sendable, CaseIterable {
    case debug, info, warning, error
}

extension Logger.Level {
    init(_ level: LogLevel) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}
