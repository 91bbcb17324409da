// A snapshot is terminal output that produces the same screen on any terminal of the same size. It is sent to late
// joiners and to guests that fell behind, and restores a real terminal after something was drawn over it.

extension Screen {
    /// Output that brings any terminal of this size to this state.
    /// - Parameter scrollback: whether to send the lines above the screen first.
    public func snapshot(scrollback: Bool = true) -> [UInt8] {
        var writer = SnapshotWriter()
        writer.text += Self.resetSequence
        if let main = state.main {
            writer.write(Self.lines(scrollback: scrollback ? state.scrollback : [], screen: main.lines))
            writer.text += state.otherKeyboard.sequence(from: KeyboardModes())
            // 1049 saves the cursor as ESC 7 does, and going back restores it.
            writer.save(main.saved, in: main, with: "\u{1B}[?1049h")
            // Erasing would use the current background colour.
            writer.setStyle(Style())
            writer.text += "\u{1B}[2J\u{1B}[H"
            writer.write(Self.used(state.grid.lines))
        } else {
            writer.write(Self.lines(scrollback: scrollback ? state.scrollback : [], screen: state.grid.lines))
        }
        writer.finish(state)
        return Array(writer.text.utf8)
    }

    /// The first of these that fits in `limit` bytes: with scrollback; without it; otherwise the visible screen as
    /// plain characters, regardless of its size.
    public func snapshot(within limit: Int) -> [UInt8] {
        for scrollback in [true, false] {
            let output = snapshot(scrollback: scrollback)
            if output.count <= limit { return output }
        }
        var plain = self
        plain.state.keepOnlyVisibleCharacters()
        return plain.snapshot(scrollback: false)
    }

    /// With scrollback, trailing blank lines are sent too: they scroll the other lines to their final rows.
    private static func lines(scrollback: [[Cell]], screen lines: [[Cell]]) -> [[Cell]] {
        scrollback.isEmpty ? used(lines) : scrollback.suffix(scrollbackLines) + lines
    }

    private static func used(_ lines: [[Cell]]) -> [[Cell]] {
        Array(lines.prefix((lines.lastIndex { !$0.allSatisfy { $0.isBlank } } ?? -1) + 1))
    }

    /// Main screen, no scroll region, no modes, standard charsets and colours, everything cleared. It does not use RIS,
    /// which would also clear the scrollback of a person's own terminal.
    public static let resetSequence =
        "\u{1B}]8;;\u{1B}\\\u{1B}[!p" + Modes.off + "\u{1B}[H\u{1B}[2J"
}

/// Writes cells and cursor as escape sequences, with as few style changes as they need.
struct SnapshotWriter {
    var text = ""
    private var style = Style()

    mutating func setStyle(_ new: Style) {
        guard new != style else { return }
        if new.link != style.link { text += new.link.sequence }
        var unlinked = style
        unlinked.link = new.link
        if new != unlinked { text += new.sequence }
        style = new
    }

    /// Writes lines from the top of a cleared screen. What does not fit scrolls off at the top.
    mutating func write(_ lines: some Collection<[Cell]>) {
        var isFirst = true
        for line in lines {
            if !isFirst { text += "\r\n" }
            isFirst = false
            write(line)
        }
    }

    private mutating func write(_ line: [Cell]) {
        let used = (line.lastIndex { !$0.isBlank } ?? -1) + 1
        for cell in line[..<used] { write(cell) }
        // Coloured blanks count as used. A style must not leak into the lines that scrolling adds.
        setStyle(Style())
    }

    mutating func write(_ cell: Cell) {
        guard cell.width > 0 else { return }
        setStyle(cell.style)
        text.unicodeScalars.append(cell.scalar)
        text += cell.marks.text
    }

    /// Restores the cursor. If it is about to wrap, the last column is written again.
    mutating func place(_ cursor: Grid.Cursor, in grid: Grid, originTop: Int = 0) {
        let row = cursor.row - originTop + 1
        guard cursor.wrapsNext else { return text += "\u{1B}[\(row);\(cursor.column + 1)H" }
        let line = grid.lines[cursor.row]
        var last = grid.columns - 1
        if line[last].width == 0 { last -= 1 }
        text += "\u{1B}[\(row);\(last + 1)H"
        write(line[last])
    }

    /// Sets the state of a saved cursor, saves it with `sequence`, and returns to plain modes.
    mutating func save(_ saved: Grid.SavedCursor, in grid: Grid, with sequence: String) {
        if saved.originMode { text += "\u{1B}[?6h" }
        place(saved.cursor, in: grid)
        setStyle(saved.style)
        select(saved.charsets)
        text += sequence + "\u{1B}[?6l\u{1B}(B\u{1B})B\u{0F}"
    }

    private mutating func select(_ charsets: Charsets) {
        if charsets.drawing[0] { text += "\u{1B}(0" }
        if charsets.drawing[1] { text += "\u{1B})0" }
        if charsets.active == 1 { text += "\u{0E}" }
    }

    /// Writes everything except the cells, in an order in which no sequence undoes an earlier one.
    mutating func finish(_ state: ScreenState) {
        let grid = state.grid
        save(grid.saved, in: grid, with: "\u{1B}7")
        // Always sent: the receiver's tab stops are unknown, and only RIS would reset them.
        text += "\u{1B}[3g"
        for column in state.tabs.sorted() { text += "\u{1B}[1;\(column + 1)H\u{1B}H" }
        if grid.top != 0 || grid.bottom != grid.rows - 1 { text += "\u{1B}[\(grid.top + 1);\(grid.bottom + 1)r" }
        text += state.modes.sequence(from: Modes())
        if state.modes.origin { text += "\u{1B}[?6h" }
        place(grid.cursor, in: grid, originTop: state.modes.origin ? grid.top : 0)
        if !state.modes.autowrap { text += "\u{1B}[?7l" }
        if state.modes.insert { text += "\u{1B}[4h" }
        if state.modes.newLine { text += "\u{1B}[20h" }
        select(state.charsets)
        setStyle(state.style)
        if !state.title.isEmpty { text += "\u{1B}]2;\(state.title)\u{07}" }
    }
}

extension ScreenState {
    /// Drops styles, combining marks and the saved main screen.
    fileprivate mutating func keepOnlyVisibleCharacters() {
        func bare(_ lines: [[Cell]]) -> [[Cell]] {
            lines.map { $0.map { Cell($0.scalar, Style(), width: $0.width) } }
        }
        grid.lines = bare(grid.lines)
        main = nil
    }
}
