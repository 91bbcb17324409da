public import Database
public import Model

/// How long the server could serve on each day, for the bars of the status page.
public struct Availability: Sendable, Equatable {
    /// The number of days that are shown and kept.
    public static let days = 90
    private static let daySeconds: Int64 = 86400

    /// Days since 1970-01-01, UTC.
    public let day: Int
    public let readySeconds: Int
    public let degradedSeconds: Int

    init(_ row: Row) throws {
        day = try row.integer("day")
        readySeconds = try row.integer("ready_seconds")
        degradedSeconds = try row.integer("degraded_seconds")
    }

    /// Adds a duration to the current day.
    public static func record(seconds: Int, isReady: Bool, now: Timestamp, in database: Transaction) throws {
        let day = Int(now.milliseconds / 1000 / daySeconds)
        try database.run(
            """
            INSERT INTO availability (day, ready_seconds, degraded_seconds) VALUES (?, ?, ?)
            ON CONFLICT (day) DO UPDATE SET ready_seconds = ready_seconds + excluded.ready_seconds,
                degraded_seconds = degraded_seconds + excluded.degraded_seconds
            """, day, isReady ? seconds : 0, isReady ? 0 : seconds)
        try database.run("DELETE FROM availability WHERE day < ?", day - days)
    }

    /// Oldest first.
    public static func all(in database: Transaction) throws -> [Availability] {
        try database.rows("SELECT * FROM availability ORDER BY day LIMIT ?", days + 1, decode: Availability.init)
    }
}
