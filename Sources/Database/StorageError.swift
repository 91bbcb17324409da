/// An error in the database, as opposed to a ``Refusal``, which is a valid answer.
public struct StorageError: Error, Sendable, CustomStringConvertible {
    /// Stable codes that logs and the API's error body use.
    public enum Code: String, Sendable {
        case busy = "database_busy"
        case full = "disk_full"
        case corrupt = "database_corrupt"
        case newer = "database_newer"
        case unavailable = "database_unavailable"
        case failed = "database_failed"
    }

    public let code: Code
    /// One sentence, which names the remedy if there is one.
    public let message: String
    /// SQLite's extended result code; 0 if SQLite was not called.
    public let sqliteCode: Int32

    public init(_ code: Code, _ message: String, sqliteCode: Int32 = 0) {
        self.code = code
        self.message = message
        self.sqliteCode = sqliteCode
    }

    public var description: String { "\(code.rawValue): \(message)" }
}
