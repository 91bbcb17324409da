// NFC is in the standard library, and not public yet; FoundationEssentials reaches it the same way.
@_spi(_Unicode) import Swift

/// Passwords as keyboards write them: the same letters are the same password, composed or not (RFC 8265, section 4.2, OpaqueString).
enum OpaqueString {
    /// Other spaces are the space, and what can be written in two ways is composed. Nothing else is changed: a password keeps its case.
    static func prepared(_ text: String) -> String {
        // Nothing of ASCII changes.
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
