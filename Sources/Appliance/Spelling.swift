/// Words that are nearly another.
enum Spelling {
    /// The known word that a wrong one is most like, if any is near.
    /// - Parameter part: one letter in so many may differ; short words are near to everything.
    static func nearest(to word: String, in known: [String], differing part: Int = 3) -> String? {
        known.map { ($0, distance($0, word)) }.filter { $0.1 <= min(3, $0.0.count / part) }.min { $0.1 < $1.1 }?.0
    }

    /// Levenshtein's: insertions, deletions and substitutions.
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
