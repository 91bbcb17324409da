import Model

/// A bar chart as SVG. It needs no script. Each bar has a text for people who cannot see it.
struct Chart {
    struct Bar {
        /// The label of the bar: a day, an hour.
        let label: String
        let value: Double
        /// The value as text.
        let text: String
        /// A class of the style sheet: `ok`, `warning`, `failed`, `none`.
        var tone = ""
    }

    /// A description for people who cannot see the chart.
    let title: String
    let bars: [Bar]
    /// The value of a full bar. Nil for the greatest value.
    var greatest: Double?
    /// Shown below the chart, at its left and right.
    var from = ""
    var to = ""

    /// In units of the picture.
    private static let height = 60.0
    private static let step = 10

    var html: HTML {
        let top = max(greatest ?? bars.map(\.value).max() ?? 0, .leastNonzeroMagnitude)
        let width = max(1, bars.count) * Self.step
        let drawn = bars.enumerated().map { index, bar -> HTML in
            // A value above zero is always visible.
            let share = bar.value <= 0 ? 0 : max(0.03, min(1, bar.value / top))
            let height = Int((share * Self.height).rounded())
            return """
                <rect class="\(bar.tone)" x="\(index * Self.step + 1)" y="\(Int(Self.height) - height)" width="\(Self.step - 2)" \
                height="\(height)"><title>\(bar.label): \(bar.text)</title></rect>
                """
        }.joined()
        return """
            <svg class="chart" viewBox="0 0 \(width) \(Int(Self.height) + 1)" preserveAspectRatio="none" role="img" aria-label="\(title)">\(drawn)\
            <path class="rule" d="M0 \(Int(Self.height)).5H\(width)"/></svg>\
            <p class="axis"><span>\(from)</span><span>\(to)</span></p>
            """
    }
}
