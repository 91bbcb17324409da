/// What an account may be called.
enum Username {
    static let rule = "use letters, digits, '.', '-' and '_', at most 64"

    static func isValid(_ name: String) -> Bool {
        (1...64).contains(name.count)
            && name.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || $0.properties.numericType != nil
                        || ".-_".unicodeScalars.contains($0))
            }
    }
}
