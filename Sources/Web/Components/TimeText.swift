import Model

/// A moment: in UTC as it is written, and in the reader's own time zone where the page's script runs.
enum TimeText {
    static func html(_ time: Timestamp) -> HTML { "<time datetime=\"\(time.iso)\">\(time.readable)</time>" }

    /// - Parameter missing: what stands there when there was no such moment.
    static func html(_ time: Timestamp?, missing: String) -> HTML { time.map { html($0) } ?? "\(missing)" }
}
