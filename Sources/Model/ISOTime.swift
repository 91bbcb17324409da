import FoundationEssentials

/// Times as the API spells them: ISO 8601 in UTC, with milliseconds.
public enum ISOTime {
    /// - Parameter milliseconds: since 1970-01-01T00:00:00Z.
    public static func text(milliseconds: Int64) -> String {
        // The formatter cuts; half a millisecond keeps a binary fraction from becoming one less.
        Date(timeIntervalSince1970: (Double(milliseconds) + 0.5) / 1000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// That many milliseconds from now.
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
