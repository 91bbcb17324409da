/// The screen of a terminal, as a program's output produces it: cells, cursor, modes, the alternate screen and some
/// scrollback.
///
/// A pure value: bytes go in, and nothing comes out. It never answers queries, because the real terminal does.
public struct Screen: Sendable {
    /// Number of lines that are kept after they scrolled off the main screen: between one and four screenfuls.
    public static let scrollbackLines = 200
    /// Bounds of a window, in cells: far above any monitor, and small enough that its bare text fits in one message.
    public static let rowLimit = 500
    public static let columnLimit = 500

    private var parser = Parser()
    var state: ScreenState

    public init(rows: Int, columns: Int) {
        state = ScreenState(rows: Self.bounded(rows, Self.rowLimit), columns: Self.bounded(columns, Self.columnLimit))
    }

    public var rows: Int { state.grid.rows }
    public var columns: Int { state.grid.columns }
    public var lines: [[Cell]] { state.grid.lines }
    public var cursor: (row: Int, column: Int) { (state.grid.cursor.row, state.grid.cursor.column) }
    public var modes: Modes { state.modes }
    /// How often a program has queried the cursor position.
    public var positionQueries: Int { state.positionQueries }
    public var isAlternate: Bool { state.main != nil }
    /// The window title that the program set; empty if there is none.
    public var title: String { state.title }
    /// How often the bell rang.
    public var bells: Int { state.bells }
    /// Lines that have scrolled off the main screen, oldest first; at most twice ``scrollbackLines``.
    public var scrollback: [[Cell]] { state.scrollback }
    /// How many lines have scrolled off the main screen since the first byte.
    public var scrolledLines: Int { state.scrolledLines }
    /// True until the first byte. Until then, a snapshot would be empty.
    public private(set) var isPristine = true

    /// Takes a program's output, which may be split anywhere.
    public mutating func feed(_ bytes: UnsafeBufferPointer<UInt8>) {
        if !bytes.isEmpty { isPristine = false }
        parser.feed(bytes, into: &state)
    }

    public mutating func feed(_ bytes: [UInt8]) { bytes.withUnsafeBufferPointer { feed($0) } }

    public mutating func resize(rows: Int, columns: Int) {
        state.resize(rows: Self.bounded(rows, Self.rowLimit), columns: Self.bounded(columns, Self.columnLimit))
    }

    /// The lines as text, without trailing spaces.
    public var text: [String] {
        lines.map { line in
            var text = line.reduce(into: "") { $0 += $1.text }
            while text.last == " " { text.removeLast() }
            return text
        }
    }

    private static func bounded(_ value: Int, _ limit: Int) -> Int { min(max(value, 1), limit) }
}

/// The state that the parser's events change.
struct ScreenState: Sendable, ParserSink {
    var grid: Grid
    /// The main screen while the alternate one is shown.
    var main: Grid?
    var scrollback: [[Cell]] = []
    var scrolledLines = 0
    var bells = 0
    var positionQueries = 0
    var style = Style()
    var modes = Modes()
    /// Kitty's keyboard flags of the hidden screen.
    var otherKeyboard = KeyboardModes()
    var charsets = Charsets()
    var tabs: Set<Int>
    var title = ""

    init(rows: Int, columns: Int) {
        grid = Grid(rows: rows, columns: columns)
        tabs = Self.standardTabs(columns)
    }

    static func standardTabs(_ columns: Int) -> Set<Int> { Set(stride(from: 8, to: columns, by: 8)) }

    // MARK: Printing

    mutating func printASCII(_ bytes: UnsafeBufferPointer<UInt8>) {
        if charsets.drawsLines || modes.insert {
            for byte in bytes { print(charsets.drawsLines ? Charsets.drawing(byte) : Unicode.Scalar(byte)) }
            return
        }
        var index = 0
        while index < bytes.count {
            if grid.cursor.wrapsNext { wrap() }
            let (row, column) = (grid.cursor.row, grid.cursor.column)
            let count = min(bytes.count - index, grid.columns - column)
            grid.splitWide(row, column)
            grid.splitWide(row, column + count)
            let style = self.style
            grid.lines[row].withUnsafeMutableBufferPointer { line in
                for offset in 0..<count { line[column + offset] = Cell(Unicode.Scalar(bytes[index + offset]), style) }
            }
            index += count
            advance(to: column + count)
            // Without autowrap, the remaining characters overwrite the last column.
            if !modes.autowrap, index < bytes.count { index = max(index, bytes.count - 1) }
        }
    }

    mutating func print(_ scalar: Unicode.Scalar) {
        let width = CharacterWidth.of(scalar)
        if width == 0 { return combine(scalar) }
        if grid.cursor.wrapsNext { wrap() }
        if width == 2 {
            guard grid.columns >= 2 else { return }
            if grid.cursor.column == grid.columns - 1 {
                guard modes.autowrap else { return }
                wrap()
            }
        }
        let count = Int(width)
        if modes.insert { grid.insertCells(count, style: style) }
        let (row, column) = (grid.cursor.row, grid.cursor.column)
        grid.splitWide(row, column)
        grid.splitWide(row, column + count)
        grid.lines[row][column] = Cell(scalar, style, width: width)
        if width == 2 { grid.lines[row][column + 1] = Cell(" ", style, width: 0) }
        advance(to: column + count)
    }

    private mutating func combine(_ scalar: Unicode.Scalar) {
        let (row, next) = (grid.cursor.row, grid.cursor.column + (grid.cursor.wrapsNext ? 1 : 0))
        var column = next - 1
        if column >= 0, grid.lines[row][column].width == 0 { column -= 1 }
        guard column >= 0 else { return }
        grid.lines[row][column].marks = grid.lines[row][column].marks.adding(scalar)
    }

    private mutating func advance(to column: Int) {
        if column >= grid.columns {
            grid.cursor.column = grid.columns - 1
            grid.cursor.wrapsNext = modes.autowrap
        } else {
            grid.cursor.column = column
        }
    }

    private mutating func wrap() {
        grid.cursor.wrapsNext = false
        grid.cursor.column = 0
        lineFeed()
    }

    // MARK: Control characters

    mutating func control(_ byte: UInt8) {
        switch byte {
        case 0x07: bells &+= 1
        case 0x08:
            grid.cursor.column = max(0, grid.cursor.column - 1)
            grid.cursor.wrapsNext = false
        case 0x09: tabForward(1)
        case 0x0A, 0x0B, 0x0C:
            lineFeed()
            if modes.newLine { grid.cursor.column = 0 }
        case 0x0D:
            grid.cursor.column = 0
            grid.cursor.wrapsNext = false
        case 0x0E: charsets.active = 1
        case 0x0F: charsets.active = 0
        default: break
        }
    }

    mutating func lineFeed() {
        grid.cursor.wrapsNext = false
        if grid.cursor.row == grid.bottom {
            scrollUp(1)
        } else if grid.cursor.row < grid.rows - 1 {
            grid.cursor.row += 1
        }
    }

    mutating func reverseLineFeed() {
        grid.cursor.wrapsNext = false
        if grid.cursor.row == grid.top {
            grid.scrollDown(1, from: grid.top, style: style)
        } else if grid.cursor.row > 0 {
            grid.cursor.row -= 1
        }
    }

    mutating func scrollUp(_ count: Int) {
        let gone = grid.scrollUp(count, from: grid.top, style: style)
        if main == nil && grid.top == 0 { remember(gone) }
    }

    mutating func remember(_ gone: [[Cell]]) {
        scrollback += gone
        scrolledLines &+= gone.count
        // In steps, so that not every line moves all others.
        if scrollback.count > 2 * Screen.scrollbackLines {
            scrollback.removeFirst(scrollback.count - Screen.scrollbackLines)
        }
    }

    mutating func tabForward(_ count: Int) {
        for _ in 0..<min(count, grid.columns) {
            let next = ((grid.cursor.column + 1)..<grid.columns).first { tabs.contains($0) }
            grid.cursor.column = next ?? grid.columns - 1
        }
        grid.cursor.wrapsNext = false
    }

    mutating func tabBackward(_ count: Int) {
        for _ in 0..<min(count, grid.columns) {
            grid.cursor.column = (0..<grid.cursor.column).last { tabs.contains($0) } ?? 0
        }
        grid.cursor.wrapsNext = false
    }

    // MARK: Whole screens

    mutating func resize(rows: Int, columns: Int) {
        guard rows != grid.rows || columns != grid.columns else { return }
        let gone = grid.resize(rows: rows, columns: columns)
        if main == nil { remember(gone) }
        if main != nil { remember(main?.resize(rows: rows, columns: columns) ?? []) }
        tabs = Self.standardTabs(columns)
    }

    /// Handles modes 47, 1047 and 1049.
    mutating func showAlternate(_ show: Bool, number: Int) {
        if show {
            if number == 1049 { saveCursor() }
            guard main == nil else { return }
            let cursor = grid.cursor
            main = grid
            swap(&modes.keyboard, &otherKeyboard)
            grid = Grid(rows: grid.rows, columns: grid.columns)
            grid.cursor = cursor
        } else {
            if let main {
                let cursor = grid.cursor
                grid = main
                self.main = nil
                swap(&modes.keyboard, &otherKeyboard)
                if number != 1049 { grid.cursor = cursor }
                grid.top = 0
                grid.bottom = grid.rows - 1
            }
            if number == 1049 { restoreCursor() }
        }
    }

    mutating func saveCursor() {
        grid.saved = Grid.SavedCursor(
            cursor: grid.cursor, style: style, originMode: modes.origin, charsets: charsets)
    }

    mutating func restoreCursor() {
        grid.cursor = grid.saved.cursor
        style = grid.saved.style
        modes.origin = grid.saved.originMode
        // In origin mode the cursor does not leave the region.
        if modes.origin { grid.cursor.row = min(max(grid.cursor.row, grid.top), grid.bottom) }
        charsets = grid.saved.charsets
    }

    mutating func reset() {
        let title = self.title
        let (scrollback, scrolledLines, bells) = (self.scrollback, self.scrolledLines, self.bells)
        self = ScreenState(rows: grid.rows, columns: grid.columns)
        self.title = title
        (self.scrollback, self.scrolledLines, self.bells) = (scrollback, scrolledLines, bells)
    }
}
