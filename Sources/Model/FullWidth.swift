/// Letters and digits as input methods of East Asia write them when they are left on: `ａｎａ` is `ana`.
public enum FullWidth {
    /// ASCII in place of its full-width forms (U+FF01 to U+FF5E), and a space in place of U+3000.
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
