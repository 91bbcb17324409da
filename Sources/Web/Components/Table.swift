import Model

/// A table. On a narrow screen each row is a separate block, and each cell shows its label.
struct Table {
    struct Column: ExpressibleByStringLiteral {
        let title: String
        /// A class of the style sheet.
        var style = ""

        init(stringLiteral title: String) { self.title = title }

        init(_ title: String, style: String) {
            self.title = title
            self.style = style
        }

        static func number(_ title: String) -> Column { Column(title, style: "number") }

        /// A word or a time that is never split over two lines.
        static func short(_ title: String) -> Column { Column(title, style: "short") }

        /// The row's buttons.
        static let actions = Column("", style: "actions")
    }

    /// A description for people who cannot see the table.
    let caption: String
    let columns: [Column]
    /// The first cell of each row names the row.
    let rows: [[HTML]]
    /// Shown if there are no rows.
    var empty: HTML = "<p class=\"muted\">None.</p>"

    init(_ caption: String, _ columns: [Column], _ rows: [[HTML]], empty: HTML? = nil) {
        self.caption = caption
        self.columns = columns
        self.rows = rows
        if let empty { self.empty = empty }
    }

    /// With more columns than this, a table is also shown as blocks on screens of medium width.
    private static let many = 6

    var html: HTML {
        if rows.isEmpty { return empty }
        let heads = columns.map { column -> HTML in
            let shown: HTML = column.title.isEmpty ? "<span class=\"unseen\">Actions</span>" : "\(column.title)"
            return "<th scope=\"col\" class=\"\(column.style)\">\(shown)</th>"
        }
        let body = rows.map { row in "<tr>\(zip(columns, row).enumerated().map(cell).joined())</tr>" as HTML }
        return """
            <div class="scroll"><table class="cards\(" wide", if: columns.count > Self.many)"><caption class="unseen">\(caption)</caption>\
            <thead><tr>\(heads.joined())</tr></thead><tbody>\(body.joined())</tbody></table></div>
            """
    }

    private func cell(_ index: Int, _ cell: (Column, HTML)) -> HTML {
        let (column, content) = cell
        return index == 0
            ? "<th scope=\"row\">\(content)</th>"
            : "<td data-label=\"\(column.title)\" class=\"\(column.style)\">\(content)</td>"
    }
}
