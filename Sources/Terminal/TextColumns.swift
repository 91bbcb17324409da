/// The width of text that people chose, as terminals draw it: a Chinese character and an emoji take two columns, a
/// combining mark none.
public enum TextColumns {
    /// The number of columns of a text.
    public static func of(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + Int(CharacterWidth.of($1)) }
    }

    /// The start of a text that fits. No character is cut in two.
    public static func fitted(_ text: String, _ columns: Int) -> String {
        var (shown, taken) = ("", 0)
        for character in text {
            let width = of(String(character))
            if taken + width > columns { break }
            shown.append(character)
            taken += width
        }
        return shown
    }
}
