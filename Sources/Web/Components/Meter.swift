import Model

/// Shows how much of something is used: the numbers as text, and a bar below them.
enum Meter {
    /// The share at which a meter warns. The second share is critical.
    private static let warns = 0.8
    private static let isBad = 0.95

    /// - Parameters:
    ///   - limit: nil if there is none. Then no bar is shown.
    ///   - text: formats an amount.
    static func html(_ value: Int, of limit: Int?, text: (Int) -> String = { "\($0)" }) -> HTML {
        guard let limit, limit > 0 else { return "\(text(value))" }
        let share = min(1, max(0, Double(value) / Double(limit)))
        let tone = share >= isBad ? "bad" : share >= warns ? "warning" : ""
        return "\(text(value)) of \(text(limit))" + bar(share, tone)
    }

    /// - Parameter share: 0 to 1.
    static func bar(_ share: Double, _ tone: String = "") -> HTML {
        let width = Int((share * 100).rounded())
        return """
            <svg class="meter \(tone)" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">\
            <rect class="all" width="100" height="4"/><rect class="part" width="\(width)" height="4"/></svg>
            """
    }
}
