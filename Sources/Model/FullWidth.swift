/// Letters and digits as East Asian input methods write them in full-width mode: `ａｎａ` is `ana`.
public enum FullWidth {
    /// Replaces full-width forms (U+FF01 to U+FF5E) with ASCII, and U+3000 with a space.
    public static func narrowed(_ text: String) -> String {
        var narrow = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0xFF01...0xFF5E: narrow.append(Unicode.Scalar(scalar.value - 0xFEE0) ?? scalar)
            case 0x3000: narrow.append(" ")
            default: narrow.append(scalar)
            }
        }
        return String(narrow)
    }
}
