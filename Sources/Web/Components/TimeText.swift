import Model

/// A time: written in UTC, and converted to the reader's time zone if the page's script runs.
enum TimeText {
    static func html(_ time: Timestamp) -> HTML { "<time datetime=\"\(time.iso)\">\(time.readable)</time>" }

    /// - Parameter missing: the text if there is no time.
    static func html(_ time: Timestamp?, missing: String) -> HTML { time.map { html($0) } ?? "\(missing)" }
}
