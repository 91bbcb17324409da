import Database
import Model

/// Rows in columns, for people.
enum TextTable {
    static func write(_ heads: [String], _ rows: [[String]]) {
        let rows = rows.map { $0.map(VisibleText.escaped) }
        let widths = heads.indices.map { column in (rows + [heads]).map { $0[column].count }.max() ?? 0 }
        for row in [heads] + rows {
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            Output.line(TerminalText(trusted: cells.joined(separator: "  ")))
        }
    }
}
