extension Setting {
    /// Every setting, in the order of the configuration file.
    static let all: [Setting] = Settings.all.map(\.setting)

    static func named(_ key: String) -> Setting? { all.first { $0.key == key } }

    /// The known key that a wrong one is most like, if any is near.
    static func nearest(to key: String) -> String? {
        // A third of its letters at most: short keys are near to everything.
        all.map { ($0.key, distance($0.key, key)) }.filter { $0.1 <= min(3, $0.0.count / 3) }.min { $0.1 < $1.1 }?.0
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
