/// A rectangle of cells with a cursor: the main or the alternate screen.
struct Grid: Sendable {
    struct Cursor: Sendable, Equatable {
        var row = 0
        var column = 0
        /// The last column was written, and the next character wraps first.
        var wrapsNext = false
    }

    /// The state that DECSC saves.
    struct SavedCursor: Sendable {
        var cursor = Cursor()
        var style = Style()
        var originMode = false
        var charsets = Charsets()
    }

    private(set) var rows: Int
    private(set) var columns: Int
    var lines: [[Cell]]
    var cursor = Cursor()
    var saved = SavedCursor()
    /// Scroll region: first and last line, inclusive.
    var top = 0
    var bottom: Int

    init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        lines = Array(repeating: Self.blankLine(columns, Style()), count: rows)
        bottom = rows - 1
    }

    static func blankLine(_ columns: Int, _ style: Style) -> [Cell] {
        Array(repeating: blank(style), count: columns)
    }

    /// Erased cells keep only the background (like xterm's "back colour erase").
    static func blank(_ style: Style) -> Cell {
        var plain = Style()
        plain.background = style.background
        return Cell(" ", plain)
    }

    /// Scrolls the region up by `count` lines, from line `from`.
    /// - Returns: the lines that left at the top.
    @discardableResult
    mutating func scrollUp(_ count: Int, from first: Int, style: Style) -> [[Cell]] {
        let count = min(count, bottom - first + 1)
        guard count > 0 else { return [] }
        let gone = Array(lines[first..<first + count])
        lines.removeSubrange(first..<first + count)
        lines.insert(contentsOf: (0..<count).map { _ in Self.blankLine(columns, style) }, at: bottom - count + 1)
        return gone
    }

    mutating func scrollDown(_ count: Int, from first: Int, style: Style) {
        let count = min(count, bottom - first + 1)
        guard count > 0 else { return }
        lines.removeSubrange(bottom - count + 1...bottom)
        lines.insert(contentsOf: (0..<count).map { _ in Self.blankLine(columns, style) }, at: first)
    }

    mutating func erase(row: Int, from start: Int, to end: Int, style: Style) {
        guard start < end else { return }
        splitWide(row, start)
        splitWide(row, end)
        for column in start..<min(end, columns) { lines[row][column] = Self.blank(style) }
    }

    mutating func insertCells(_ count: Int, style: Style) {
        let (row, column) = (cursor.row, cursor.column)
        let count = min(count, columns - column)
        splitWide(row, column)
        lines[row].removeLast(count)
        lines[row].insert(contentsOf: Array(repeating: Self.blank(style), count: count), at: column)
        splitWide(row, columns)
    }

    mutating func deleteCells(_ count: Int, style: Style) {
        let (row, column) = (cursor.row, cursor.column)
        let count = min(count, columns - column)
        splitWide(row, column)
        splitWide(row, column + count)
        lines[row].removeSubrange(column..<column + count)
        lines[row].append(contentsOf: Array(repeating: Self.blank(style), count: count))
    }

    /// Replaces a wide character that is cut at `column` with spaces, so that no half of it remains.
    mutating func splitWide(_ row: Int, _ column: Int) {
        if column < columns, column > 0, lines[row][column].width == 0 {
            let style = lines[row][column].style
            lines[row][column - 1] = Self.blank(style)
            lines[row][column] = Self.blank(style)
        } else if column == columns, lines[row][columns - 1].width == 2 {
            lines[row][columns - 1] = Self.blank(lines[row][columns - 1].style)
        }
    }

    /// Keeps the top left, as programs expect that redraw on SIGWINCH; if the grid loses rows, lines above the cursor are removed first.
    /// - Returns: the lines that left at the top.
    mutating func resize(rows newRows: Int, columns newColumns: Int) -> [[Cell]] {
        var gone: [[Cell]] = []
        if newRows < rows {
            let overflow = max(0, cursor.row + 1 - newRows)
            gone = Array(lines.prefix(overflow))
            lines.removeFirst(overflow)
            lines.removeLast(lines.count - newRows)
            cursor.row -= overflow
        } else {
            lines += (0..<newRows - rows).map { _ in Self.blankLine(columns, Style()) }
        }
        rows = newRows
        if newColumns != columns {
            for row in lines.indices {
                if newColumns < columns {
                    lines[row].removeLast(columns - newColumns)
                } else {
                    lines[row] += Self.blankLine(newColumns - columns, Style())
                }
            }
            columns = newColumns
            for row in lines.indices { splitWide(row, columns) }
        }
        top = 0
        bottom = rows - 1
        cursor.row = min(cursor.row, rows - 1)
        cursor.column = min(cursor.column, columns - 1)
        cursor.wrapsNext = false
        saved.cursor.row = min(saved.cursor.row, rows - 1)
        saved.cursor.column = min(saved.cursor.column, columns - 1)
        return gone
    }
}

/// The character sets G0 and G1. Only ASCII and the DEC line-drawing set are supported; the others are no longer in
/// use.
struct Charsets: Sendable, Equatable {
    var drawing = [false, false]
    var active = 0

    var drawsLines: Bool { drawing[active] }

    /// `` ` `` … `~` of the DEC Special Graphics set.
    private static let graphics = Array("◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·".unicodeScalars)

    static func drawing(_ byte: UInt8) -> Unicode.Scalar {
        (0x60...0x7E).contains(byte) ? graphics[Int(byte) - 0x60] : Unicode.Scalar(byte)
    }
}
