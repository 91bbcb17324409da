import Model

/// What people may call things: the one rule for names of tokens, roles, organisations, sessions, and for the texts of incidents.
enum NameRule {
    /// - Parameters:
    ///   - what: begins the sentence: "A token's name".
    ///   - characters: how long it may be.
    /// - Throws: ``Refusal`` `.invalid`.
    static func check(_ name: String, _ what: String, characters: ClosedRange<Int> = 1...64) throws {
        // Counted as JSON Schema does, which describes it.
        let scalars = name.unicodeScalars
        guard characters.contains(scalars.count), VisibleText.isPlain(name),
            scalars.contains(where: { !$0.properties.isWhitespace })
        else {
            throw Refusal(
                .invalid,
                "\(what) is \(characters.lowerBound) to \(characters.upperBound) characters long, on one line, "
                    + "without control characters.")
        }
    }
}
