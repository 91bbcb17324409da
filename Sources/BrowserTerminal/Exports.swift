// The terminal as a page calls it: one screen for each instance of the module. JavaScript writes input into `terminal_input`'s memory and
// reads what to paint from `terminal_paint`'s.
//
// Painted rows are runs of one style. All numbers are 32 bits, little-endian:
//
//   state   flags, cursor row, cursor column, cursor shape, mouse, mouse encoding, rows, columns, bells, title length, title (padded to 4)
//   colours 1 if they have changed, then all: their number, each: index (266, 267, 268: text, background, cursor), text length, text (padded to 4)
//   history lines that are void (1: all), number of new lines, lines
//   rows    number of changed rows, each: index, line
//   line    number of runs, each: foreground, background, attributes and kind << 16, columns, text length, text (padded to 4), length of
//           the link's address, the address (padded to 4)
//
// Colours: 0 the standard one; 1 << 24 | index; 2 << 24 | red << 16 | green << 8 | blue. Kind 1 is a character that needs its own box: wide,
// or one that a font may draw with another width.

/// Everything of one terminal. The module runs on one thread only.
private struct Terminal {
    var screen: Screen
    var painted: [[Cell]] = []
    var paintedPalette = Palette()
    /// Lines of history that the page has.
    var paintedHistory = 0
    var input: UnsafeMutableBufferPointer<UInt8>
    var output: [UInt8] = []
}

// Built for WebAssembly without threads, in Swift 5 mode: only one call runs at a time.
private var terminal = Terminal(
    screen: Screen(rows: 24, columns: 80), input: UnsafeMutableBufferPointer(start: nil, count: 0))

/// Memory for the next bytes of `terminal_feed` or `elligator`.
@_cdecl("terminal_input")
func terminalInput(_ count: Int32) -> UnsafeMutablePointer<UInt8>? {
    if terminal.input.count < Int(count) {
        if terminal.input.baseAddress != nil { terminal.input.deallocate() }
        terminal.input = .allocate(capacity: max(Int(count), 1 << 16))
    }
    return terminal.input.baseAddress
}

@_cdecl("terminal_restart")
func terminalRestart(_ rows: Int32, _ columns: Int32) {
    terminal.screen = Screen(rows: Int(rows), columns: Int(columns))
    terminal.painted = []
    terminal.paintedPalette = Palette()
    terminal.paintedHistory = -1
}

@_cdecl("terminal_resize")
func terminalResize(_ rows: Int32, _ columns: Int32) { terminal.screen.resize(rows: Int(rows), columns: Int(columns)) }

@_cdecl("terminal_feed")
func terminalFeed(_ count: Int32) {
    terminal.screen.feed(UnsafeBufferPointer(rebasing: terminal.input[0..<Int(count)]))
}

/// What has changed since the last call; valid until the next one. The first four bytes are the length of the rest.
@_cdecl("terminal_paint")
func terminalPaint() -> UnsafePointer<UInt8>? {
    var writer = PaintWriter()
    swap(&writer.bytes, &terminal.output)
    writer.bytes.removeAll(keepingCapacity: true)
    writer.put(0)
    writer.state(terminal.screen)
    writer.colours(terminal.screen.modes.palette, painted: terminal.paintedPalette, isNew: terminal.paintedHistory < 0)
    terminal.paintedPalette = terminal.screen.modes.palette
    terminal.paintedHistory = writer.history(terminal.screen, painted: terminal.paintedHistory)
    writer.rows(terminal.screen, painted: terminal.painted)
    terminal.painted = terminal.screen.lines
    writer.set(UInt32(writer.bytes.count - 4), at: 0)
    swap(&writer.bytes, &terminal.output)
    return terminal.output.withUnsafeBufferPointer { $0.baseAddress }
}

/// The Elligator 2 map of CPace, in place: 32 bytes of input become the point.
@_cdecl("elligator")
func elligator() {
    let point = FieldElement.elligator2(Array(terminal.input[0..<32]))
    for index in 0..<32 { terminal.input[index] = point[index] }
}

private struct PaintWriter {
    var bytes: [UInt8] = []

    mutating func put(_ value: UInt32) {
        bytes.append(UInt8(truncatingIfNeeded: value))
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value >> 16))
        bytes.append(UInt8(truncatingIfNeeded: value >> 24))
    }

    mutating func put(_ value: Int) { put(UInt32(truncatingIfNeeded: value)) }

    mutating func set(_ value: UInt32, at index: Int) {
        for offset in 0..<4 { bytes[index + offset] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(offset))) }
    }

    private mutating func pad() { while bytes.count % 4 != 0 { bytes.append(0) } }

    mutating func state(_ screen: Screen) {
        let modes = screen.modes
        var flags: UInt32 = 0
        if modes.cursorVisible { flags |= 1 }
        if modes.cursorKeys { flags |= 2 }
        if modes.keypad { flags |= 4 }
        if modes.bracketedPaste { flags |= 8 }
        if modes.focusEvents { flags |= 16 }
        if modes.reverseScreen { flags |= 32 }
        if screen.isAlternate { flags |= 64 }
        put(flags)
        put(screen.cursor.row)
        put(screen.cursor.column)
        put(modes.cursorShape)
        put(modes.mouse)
        put(modes.mouseEncoding)
        put(screen.rows)
        put(screen.columns)
        put(screen.bells)
        let title = Array(screen.title.utf8)
        put(title.count)
        bytes += title
        pad()
    }

    /// - Parameter isNew: whether the page may show the colours of a previous screen.
    mutating func colours(_ palette: Palette, painted: Palette, isNew: Bool) {
        guard isNew || palette != painted else { return put(0) }
        put(1)
        let changed = palette.changed
        put(changed.count)
        for (index, colour) in changed {
            put(index)
            let text = Array(colour.utf8)
            put(text.count)
            bytes += text
            pad()
        }
    }

    /// - Returns: how many lines the page has now, counted from the first that ever scrolled off.
    mutating func history(_ screen: Screen, painted: Int) -> Int {
        let total = screen.scrolledLines
        let kept = screen.scrollback.count
        // Cleared, or a new screen: what the page has is void.
        let isVoid = painted < 0 || painted > total || (kept == 0 && painted > 0)
        let new = min(kept, isVoid ? total : total - painted)
        put(isVoid ? 1 : 0)
        put(new)
        for line in screen.scrollback.suffix(new) { self.line(line) }
        return total
    }

    mutating func rows(_ screen: Screen, painted: [[Cell]]) {
        let place = bytes.count
        put(0)
        var changed: UInt32 = 0
        for (index, line) in screen.lines.enumerated() where index >= painted.count || painted[index] != line {
            put(index)
            self.line(line)
            changed += 1
        }
        set(changed, at: place)
    }

    private mutating func line(_ line: [Cell]) {
        let place = bytes.count
        put(0)
        var runs: UInt32 = 0
        var index = 0
        while index < line.count {
            let first = line[index]
            if first.width == 0 {
                index += 1
                continue
            }
            let isAlone = !Self.isPlain(first)
            var end = index + 1
            if !isAlone { while end < line.count, Self.isPlain(line[end]), line[end].style == first.style { end += 1 } }
            let columns = isAlone ? Int(first.width) : end - index
            put(Self.color(first.style.foreground))
            put(Self.color(first.style.background))
            put(UInt32(first.style.attributes.rawValue) | (isAlone ? 1 << 16 : 0))
            put(columns)
            let lengthPlace = bytes.count
            put(0)
            for cell in line[index..<end] {
                if cell.scalar.value < 0x80 {
                    bytes.append(UInt8(cell.scalar.value))
                } else {
                    bytes += Array(String(Character(cell.scalar)).utf8)
                }
            }
            if isAlone { bytes += Array(first.marks.text.utf8) }
            set(UInt32(bytes.count - lengthPlace - 4), at: lengthPlace)
            pad()
            let address = first.style.link == .none ? [] : Array(first.style.link.address.utf8)
            put(address.count)
            bytes += address
            pad()
            runs += 1
            index = end
        }
        set(runs, at: place)
    }

    /// Characters that every monospaced font draws one column wide.
    private static func isPlain(_ cell: Cell) -> Bool {
        cell.width == 1 && cell.scalar.value < 0x250 && cell.marks == .none
    }

    private static func color(_ color: Color) -> UInt32 {
        switch color {
        case .standard: 0
        case .indexed(let index): 1 << 24 | UInt32(index)
        case .rgb(let red, let green, let blue): 2 << 24 | UInt32(red) << 16 | UInt32(green) << 8 | UInt32(blue)
        }
    }
}
