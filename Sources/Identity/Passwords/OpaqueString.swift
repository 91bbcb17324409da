// NFC is in the standard library but not public yet. FoundationEssentials uses it in the same way.
@_spi(_Unicode) import Swift

/// Normalizes passwords from keyboards: the same letters are the same password, composed or not (RFC 8265, section 4.2,
/// OpaqueString).
enum OpaqueString {
    /// Replaces other spaces with the space, and composes what can be written in two ways. Everything else is
    /// unchanged, including case.
    static func prepared(_ text: String) -> String {
        // ASCII never changes.
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        var spaced = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            spaced.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
        }
        var composed = String.UnicodeScalarView()
        for scalar in String(spaced)._nfc { composed.append(scalar) }
        return String(composed)
    }
}
