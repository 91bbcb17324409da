import Model

/// A word about the state of something, with a colour that says how good it is.
enum Badge {
    enum Tone: String, Sendable {
        case ok, warning, bad
        case plain = ""
    }

    static func html(_ word: String, _ tone: Tone = .plain) -> HTML {
        "<span class=\"badge \(tone.rawValue)\">\(word)</span>"
    }
}
