/// Shows a screen of one size in a terminal of another size: completely inside a frame if there is space, otherwise the
/// part around the cursor. Writes only what changed since the last time.
public struct FramedView: Sendable {
    private let rows: Int
    private let columns: Int
    private var drawn: [[Cell]] = []
    private var drawnModes = Modes()

    /// - Parameters are the size of the terminal that is written to.
    public init(rows: Int, columns: Int) {
        self.rows = max(rows, 1)
        self.columns = max(columns, 1)
    }

    /// Returns the output that makes the terminal show `screen`.
    public mutating func draw(_ screen: Screen) -> [UInt8] {
        var writer = SnapshotWriter()
        if drawn.isEmpty {
            // Uses the alternate screen, so that the previous contents return when the guest leaves, normally or by a
            // crash.
            writer.text += Screen.resetSequence + "\u{1B}[?1049h\u{1B}[H\u{1B}[2J"
            drawn = Array(repeating: Grid.blankLine(columns, Style()), count: rows)
            drawnModes = Modes()
        }
        writer.text += "\u{1B}[?25l"
        let (wanted, offset) = layout(screen)
        for row in 0..<rows where wanted[row] != drawn[row] { change(row, to: wanted[row], &writer) }
        drawn = wanted
        writer.setStyle(Style())
        var hidden = drawnModes
        hidden.cursorVisible = false
        writer.text += screen.modes.sequence(from: hidden)
        drawnModes = screen.modes
        let cursor = screen.cursor
        writer.text += "\u{1B}[\(cursor.row - offset.row + 1);\(cursor.column - offset.column + 1)H"
        return Array(writer.text.utf8)
    }

    private mutating func change(_ row: Int, to line: [Cell], _ writer: inout SnapshotWriter) {
        let old = drawn[row]
        guard var first = line.indices.first(where: { line[$0] != old[$0] }),
            let last = line.indices.last(where: { line[$0] != old[$0] })
        else { return }
        if line[first].width == 0, first > 0 { first -= 1 }
        writer.text += "\u{1B}[\(row + 1);\(first + 1)H"
        for cell in line[first...last] { writer.write(cell) }
    }

    private func layout(_ screen: Screen) -> (lines: [[Cell]], offset: (row: Int, column: Int)) {
        // One line and one column for the frame, if the host's window differs in size from this terminal.
        let needsFrame = screen.rows != rows || screen.columns != columns
        let visibleRows = min(screen.rows, needsFrame ? max(rows - 1, 1) : rows)
        let visibleColumns = min(screen.columns, columns)
        let top = min(max(0, screen.cursor.row - visibleRows + 1), screen.rows - visibleRows)
        let left = min(max(0, screen.cursor.column - visibleColumns + 1), screen.columns - visibleColumns)
        var lines = Array(repeating: Grid.blankLine(columns, Style()), count: rows)
        for row in 0..<visibleRows {
            let source = screen.lines[top + row]
            for column in 0..<visibleColumns { lines[row][column] = source[left + column] }
            if lines[row][0].width == 0 { lines[row][0] = Cell() }
            if lines[row][visibleColumns - 1].width == 2 { lines[row][visibleColumns - 1] = Cell() }
        }
        frame(&lines, screen, visibleRows, visibleColumns, top, left)
        return (lines, (top, left))
    }

    private func frame(
        _ lines: inout [[Cell]], _ screen: Screen, _ height: Int, _ width: Int, _ top: Int, _ left: Int
    ) {
        var style = Style()
        style.attributes = .faint
        if width < columns { for row in 0..<min(height, rows) { lines[row][width] = Cell("│", style) } }
        guard height < rows else { return }
        for column in 0..<min(width, columns) { lines[height][column] = Cell("─", style) }
        if width < columns { lines[height][width] = Cell("┘", style) }
        let isWhole = height == screen.rows && width == screen.columns
        let note =
            isWhole
            ? " host's window: \(screen.columns)×\(screen.rows) "
            : " host's window: \(screen.columns)×\(screen.rows), shown from \(left + 1),\(top + 1); enlarge yours to see all "
        for (offset, scalar) in note.unicodeScalars.enumerated() where offset + 2 < width {
            lines[height][offset + 2] = Cell(scalar, style)
        }
    }
}
