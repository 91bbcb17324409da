/// Finds words that are similar to each other.
enum Spelling {
    /// The known word that is most similar to a wrong one, if any is similar enough.
    /// - Parameter part: one letter in this many may differ. Short words are similar to many others.
    static func nearest(to word: String, in known: [String], differing part: Int = 3) -> String? {
        known.map { ($0, distance($0, word)) }.filter { $0.1 <= min(3, $0.0.count / part) }.min { $0.1 < $1.1 }?.0
    }

    /// The Levenshtein distance: insertions, deletions and substitutions.
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left), Array(right))
        var row = Array(0...right.count)
        for (i, character) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let cost = min(diagonal + (character == other ? 0 : 1), row[j] + 1, row[j + 1] + 1)
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[right.count]
    }
}
