import Model

/// A word for a state, with a colour that shows how good it is.
enum Badge {
    enum Tone: String, Sendable {
        case ok, warning, bad
        case plain = ""
    }

    static func html(_ word: String, _ tone: Tone = .plain) -> HTML {
        "<span class=\"badge \(tone.rawValue)\">\(word)</span>"
    }
}
