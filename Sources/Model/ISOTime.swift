import FoundationEssentials

/// Times in the format of the API: ISO 8601 in UTC, with milliseconds.
public enum ISOTime {
    /// - Parameter milliseconds: since 1970-01-01T00:00:00Z.
    public static func text(milliseconds: Int64) -> String {
        // The formatter truncates. Adding half a millisecond prevents a binary fraction from losing one.
        Date(timeIntervalSince1970: (Double(milliseconds) + 0.5) / 1000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// The time in this number of milliseconds.
    public static func text(millisecondsFromNow: Int64) -> String {
        Date(timeIntervalSinceNow: Double(millisecondsFromNow) / 1000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// The wall clock, in milliseconds since 1970.
    public static var millisecondsNow: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}

extension Timestamp {
    /// ISO 8601 in UTC, with milliseconds.
    public var iso: String { ISOTime.text(milliseconds: milliseconds) }

    /// "2026-11-21 18:03 UTC"
    public var readable: String { iso.prefix(16).split(separator: "T").joined(separator: " ") + " UTC" }
}
