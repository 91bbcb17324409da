// Control functions of ECMA-48 and of xterm, by their final byte.

extension ScreenState {
    mutating func escape(_ final: UInt8, intermediate: UInt8) {
        switch (intermediate, final) {
        case (0, UInt8(ascii: "7")): saveCursor()
        case (0, UInt8(ascii: "8")): restoreCursor()
        case (0, UInt8(ascii: "D")): lineFeed()
        case (0, UInt8(ascii: "E")):
            grid.cursor.column = 0
            lineFeed()
        case (0, UInt8(ascii: "H")): tabs.insert(grid.cursor.column)
        case (0, UInt8(ascii: "M")): reverseLineFeed()
        case (0, UInt8(ascii: "c")): reset()
        case (0, UInt8(ascii: "=")): modes.keypad = true
        case (0, UInt8(ascii: ">")): modes.keypad = false
        case (UInt8(ascii: "("), _): charsets.drawing[0] = final == UInt8(ascii: "0")
        case (UInt8(ascii: ")"), _): charsets.drawing[1] = final == UInt8(ascii: "0")
        case (UInt8(ascii: "#"), UInt8(ascii: "8")): alignmentTest()
        default: break
        }
    }

    mutating func operatingSystemCommand(_ text: [UInt8]) {
        if text.count >= 3, text[0] == UInt8(ascii: "8"), text[1] == UInt8(ascii: ";") {
            style.link = Hyperlink.of(text[2...])
            return
        }
        if text.starts(with: Array("1337;File=".utf8)) { return showPicture() }
        modes.palette.take(text)
        // 0 and 2 set the window's title. Other commands do not change the screen.
        guard text.count >= 2, text[1] == UInt8(ascii: ";"),
            text[0] == UInt8(ascii: "0") || text[0] == UInt8(ascii: "2")
        else { return }
        title = String(decoding: text[2...], as: UTF8.self).filter { $0 >= " " && $0 != "\u{7F}" }
    }

    mutating func deviceString(_ kind: UInt8, _ text: [UInt8]) {
        if kind == UInt8(ascii: "P") {
            // Sixel: parameters followed by a q.
            let final = text.first { !(0x30...0x39).contains($0) && $0 != UInt8(ascii: ";") }
            if final == UInt8(ascii: "q") { showPicture() }
        } else if text.first == UInt8(ascii: "G") {
            // Kitty: `a=T` transmits and displays, `a=p` displays. Further pieces of the same picture have no `a`.
            let keys = text.dropFirst().prefix { $0 != UInt8(ascii: ";") }.split(separator: UInt8(ascii: ","))
            if keys.contains(where: { $0.elementsEqual("a=T".utf8) || $0.elementsEqual("a=p".utf8) }) { showPicture() }
        }
    }

    /// A picture is passed on unchanged and not stored. The model writes a word in its place, which is what later
    /// guests see.
    private mutating func showPicture() {
        let (row, column) = (grid.cursor.row, grid.cursor.column)
        var faint = Style()
        faint.attributes = .faint
        for (offset, scalar) in "[picture]".unicodeScalars.enumerated() where column + offset < grid.columns {
            grid.splitWide(row, column + offset)
            grid.lines[row][column + offset] = Cell(scalar, faint)
        }
        grid.splitWide(row, min(column + 9, grid.columns))
    }

    mutating func controlSequence(_ sequence: ControlSequence, final: UInt8) {
        switch (sequence.marker, sequence.intermediate) {
        case (0, 0): standard(sequence, final)
        case (UInt8(ascii: "?"), 0): dec(sequence, final)
        case (0, UInt8(ascii: " ")) where final == UInt8(ascii: "q"):
            modes.cursorShape = min(sequence.parameter(0, or: 0), 6)
        case (0, UInt8(ascii: "!")) where final == UInt8(ascii: "p"): softReset()
        case (UInt8(ascii: ">"), 0) where final == UInt8(ascii: "u"):
            modes.keyboard.push(sequence.parameter(0, or: 0))
        case (UInt8(ascii: "<"), 0) where final == UInt8(ascii: "u"): modes.keyboard.pop(sequence.parameter(0))
        case (UInt8(ascii: "="), 0) where final == UInt8(ascii: "u"):
            modes.keyboard.set(sequence.parameter(0, or: 0), way: sequence.parameter(1))
        case (UInt8(ascii: ">"), 0) where final == UInt8(ascii: "m"):
            if sequence.parameters.isEmpty || sequence.parameter(0, or: 0) == 4 {
                modes.otherKeys = min(sequence.parameter(1, or: 0), 3)
            }
        default: break
        }
    }

    private mutating func standard(_ sequence: ControlSequence, _ final: UInt8) {
        let count = sequence.parameter(0)
        switch UnicodeScalar(final) {
        case "@": grid.insertCells(count, style: style)
        case "A": move(rows: -count)
        case "B", "e": move(rows: count)
        case "C", "a": place(column: grid.cursor.column + count)
        case "D": place(column: grid.cursor.column - count)
        case "E":
            move(rows: count)
            grid.cursor.column = 0
        case "F":
            move(rows: -count)
            grid.cursor.column = 0
        case "G", "`": place(column: count - 1)
        case "H", "f": place(row: count - 1, column: sequence.parameter(1) - 1)
        case "I": tabForward(count)
        case "J": eraseDisplay(sequence.parameter(0, or: 0))
        case "K": eraseLine(sequence.parameter(0, or: 0))
        case "L" where isInRegion:
            grid.scrollDown(count, from: grid.cursor.row, style: style)
            grid.cursor.column = 0
        case "M" where isInRegion:
            grid.scrollUp(count, from: grid.cursor.row, style: style)
            grid.cursor.column = 0
        case "P": grid.deleteCells(count, style: style)
        case "S": scrollUp(count)
        case "T": if sequence.parameters.count <= 1 { grid.scrollDown(count, from: grid.top, style: style) }
        case "X":
            grid.erase(
                row: grid.cursor.row, from: grid.cursor.column, to: min(grid.cursor.column + count, grid.columns),
                style: style)
        case "Z": tabBackward(count)
        case "b": repeatLast(count)
        case "d": place(row: count - 1)
        case "g": clearTabs(sequence.parameter(0, or: 0))
        case "h": ansiModes(sequence, on: true)
        case "l": ansiModes(sequence, on: false)
        case "m": style.apply(sequence)
        case "n" where count == 6: positionQueries &+= 1
        case "r": setRegion(sequence)
        case "s": saveCursor()
        case "u": restoreCursor()
        default: break
        }
    }

    private var isInRegion: Bool { (grid.top...grid.bottom).contains(grid.cursor.row) }

    // MARK: Cursor

    /// Up and down stop at the edge of the scroll region, unless the cursor is already outside of it.
    private mutating func move(rows count: Int) {
        let row = grid.cursor.row
        let first = row < grid.top ? 0 : grid.top
        let last = row > grid.bottom ? grid.rows - 1 : grid.bottom
        grid.cursor.row = min(max(row + count, first), last)
        grid.cursor.wrapsNext = false
    }

    private mutating func place(column: Int) {
        grid.cursor.column = min(max(column, 0), grid.columns - 1)
        grid.cursor.wrapsNext = false
    }

    private mutating func place(row: Int) {
        let first = modes.origin ? grid.top : 0
        let last = modes.origin ? grid.bottom : grid.rows - 1
        grid.cursor.row = min(max(first + row, first), last)
        grid.cursor.wrapsNext = false
    }

    private mutating func place(row: Int, column: Int) {
        place(row: row)
        place(column: column)
    }

    private mutating func setRegion(_ sequence: ControlSequence) {
        let top = sequence.parameter(0) - 1
        let bottom = min(sequence.parameter(1, or: grid.rows), grid.rows) - 1
        guard top < bottom else { return }
        grid.top = top
        grid.bottom = bottom
        place(row: 0, column: 0)
    }

    private mutating func clearTabs(_ which: Int) {
        if which == 0 { tabs.remove(grid.cursor.column) }
        if which == 3 { tabs.removeAll() }
    }

    private mutating func repeatLast(_ count: Int) {
        let column = grid.cursor.wrapsNext ? grid.cursor.column : grid.cursor.column - 1
        guard column >= 0 else { return }
        let scalar = grid.lines[grid.cursor.row][column].scalar
        for _ in 0..<min(count, grid.columns * grid.rows) { print(scalar) }
    }

    // MARK: Erasing

    private mutating func eraseLine(_ part: Int) {
        let (row, column) = (grid.cursor.row, grid.cursor.column)
        switch part {
        // A cursor that is about to wrap counts as after the last column, as in tmux and VTE: `top` and others rely on
        // it.
        case 0:
            let first = grid.cursor.wrapsNext ? grid.columns : column
            return grid.erase(row: row, from: first, to: grid.columns, style: style)
        case 1: grid.erase(row: row, from: 0, to: column + 1, style: style)
        case 2: grid.erase(row: row, from: 0, to: grid.columns, style: style)
        default: break
        }
        grid.cursor.wrapsNext = false
    }

    private mutating func eraseDisplay(_ part: Int) {
        let row = grid.cursor.row
        switch part {
        case 0:
            eraseLine(0)
            eraseLines((row + 1)..<grid.rows)
        case 1:
            eraseLine(1)
            eraseLines(0..<row)
        case 2: eraseLines(0..<grid.rows)
        case 3: scrollback.removeAll()
        default: break
        }
    }

    private mutating func eraseLines(_ rows: Range<Int>) {
        for row in rows { grid.lines[row] = Grid.blankLine(grid.columns, style) }
    }

    private mutating func alignmentTest() {
        for row in 0..<grid.rows { grid.lines[row] = Array(repeating: Cell("E", Style()), count: grid.columns) }
        grid.cursor = Grid.Cursor()
    }

    // MARK: Modes

    private mutating func softReset() {
        let (shown, title) = (modes, self.title)
        modes = Modes()
        modes.mouse = shown.mouse
        modes.mouseEncoding = shown.mouseEncoding
        modes.bracketedPaste = shown.bracketedPaste
        modes.focusEvents = shown.focusEvents
        modes.colourSchemeReports = shown.colourSchemeReports
        modes.keyboard = shown.keyboard
        modes.otherKeys = shown.otherKeys
        modes.palette = shown.palette
        style = Style()
        charsets = Charsets()
        grid.top = 0
        grid.bottom = grid.rows - 1
        grid.saved = Grid.SavedCursor()
        self.title = title
    }

    private mutating func ansiModes(_ sequence: ControlSequence, on: Bool) {
        for number in sequence.parameters {
            if number == 4 { modes.insert = on }
            if number == 20 { modes.newLine = on }
        }
    }

    private mutating func dec(_ sequence: ControlSequence, _ final: UInt8) {
        switch UnicodeScalar(final) {
        case "h": sequence.parameters.forEach { decMode($0, on: true) }
        case "l": sequence.parameters.forEach { decMode($0, on: false) }
        case "J": eraseDisplay(sequence.parameter(0, or: 0))
        case "K": eraseLine(sequence.parameter(0, or: 0))
        case "n" where sequence.parameter(0) == 6: positionQueries &+= 1
        default: break
        }
    }

    private mutating func decMode(_ number: Int, on: Bool) {
        switch number {
        case 1: modes.cursorKeys = on
        case 5: modes.reverseScreen = on
        case 6:
            modes.origin = on
            place(row: 0, column: 0)
        case 7:
            modes.autowrap = on
            if !on { grid.cursor.wrapsNext = false }
        case 25: modes.cursorVisible = on
        case 9, 1000, 1002, 1003: modes.mouse = on ? number : 0
        case 1005, 1006, 1015, 1016: modes.mouseEncoding = on ? number : 0
        case 1004: modes.focusEvents = on
        case 2004: modes.bracketedPaste = on
        case 2031: modes.colourSchemeReports = on
        case 47, 1047, 1049: showAlternate(on, number: number)
        case 1048: if on { saveCursor() } else { restoreCursor() }
        default: break
        }
    }
}

extension Style {
    /// SGR, with both notations for colours: `38;5;n` and `38:2::r:g:b`.
    mutating func apply(_ sequence: ControlSequence) {
        if sequence.parameters.isEmpty { return reset() }
        let values = sequence.parameters
        var index = 0
        while index < values.count {
            let code = max(values[index], 0)
            switch code {
            case 0: reset()
            case 38, 48, 58:
                let (color, used) = Self.extendedColor(sequence, after: index)
                if let color {
                    switch code {
                    case 38: foreground = color
                    case 48: background = color
                    default: underlineColor = color
                    }
                }
                index += used
            case 4 where sequence.subparameters.contains(index + 1):
                underline(values[index + 1])
                index += 1
            default: applySimple(code)
            }
            index += 1
        }
    }

    /// 0 none, 1 a line, 2 two, 3 curly, 4 dotted, 5 dashed; unknown kinds are a line.
    private mutating func underline(_ kind: Int) {
        underlineKind = (0...5).contains(kind) ? UInt8(kind) : 1
        if underlineKind == 0 { attributes.remove(.underline) } else { attributes.insert(.underline) }
    }

    /// SGR 0.
    private mutating func reset() {
        let link = self.link
        self = Style()
        self.link = link
    }

    private mutating func applySimple(_ code: Int) {
        switch code {
        case 1: attributes.insert(.bold)
        case 2: attributes.insert(.faint)
        case 3: attributes.insert(.italic)
        case 4: underline(1)
        case 21: underline(2)
        case 5, 6: attributes.insert(.blink)
        case 7: attributes.insert(.inverse)
        case 8: attributes.insert(.hidden)
        case 9: attributes.insert(.struck)
        case 22: attributes.subtract([.bold, .faint])
        case 23: attributes.remove(.italic)
        case 24: underline(0)
        case 25: attributes.remove(.blink)
        case 27: attributes.remove(.inverse)
        case 28: attributes.remove(.hidden)
        case 29: attributes.remove(.struck)
        case 30...37: foreground = .indexed(UInt8(code - 30))
        case 39: foreground = .standard
        case 40...47: background = .indexed(UInt8(code - 40))
        case 49: background = .standard
        case 59: underlineColor = .standard
        case 90...97: foreground = .indexed(UInt8(code - 90 + 8))
        case 100...107: background = .indexed(UInt8(code - 100 + 8))
        default: break
        }
    }

    /// - Returns: the colour, and how many parameters after the 38 or 48 belong to it.
    private static func extendedColor(_ sequence: ControlSequence, after index: Int) -> (Color?, Int) {
        let rest = Array(sequence.parameters.dropFirst(index + 1))
        let colons = (index + 1..<sequence.parameters.count).prefix { sequence.subparameters.contains($0) }.count
        func byte(_ position: Int) -> UInt8 { UInt8(clamping: position < rest.count ? max(rest[position], 0) : 0) }
        switch rest.first {
        case 5: return (.indexed(byte(1)), colons > 0 ? colons : min(2, rest.count))
        case 2:
            // With colons, there may be a colour space between the 2 and the red value.
            let first = colons >= 5 ? 2 : 1
            return (.rgb(byte(first), byte(first + 1), byte(first + 2)), colons > 0 ? colons : min(4, rest.count))
        default: return (nil, colons)
        }
    }
}
