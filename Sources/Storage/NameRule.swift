import Model

/// The single rule for names of tokens, roles, organisations and sessions, and for the texts of incidents.
enum NameRule {
    /// - Parameters:
    ///   - what: the start of the sentence: "A token's name".
    ///   - characters: the allowed lengths.
    /// - Throws: ``Refusal`` `.invalid`.
    static func check(_ name: String, _ what: String, characters: ClosedRange<Int> = 1...64) throws {
        // Counted in the same way as in JSON Schema, which describes this rule.
        let scalars = name.unicodeScalars
        guard characters.contains(scalars.count), VisibleText.isPlain(name),
            scalars.contains(where: { !$0.properties.isWhitespace })
        else {
            throw Refusal(
                .invalid,
                "\(what) must be \(characters.lowerBound) to \(characters.upperBound) characters long, on one line, "
                    + "without control characters.")
        }
    }
}
