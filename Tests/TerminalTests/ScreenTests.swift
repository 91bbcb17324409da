import Glibc
import Testing

@testable import Terminal

@Suite struct ScreenTests {
    /// Whatever a program switches on, a late guest's terminal gets, and a terminal that is left gets off again.
    @Test(arguments: [
        "\u{1B}[>1u", "\u{1B}[>5u\u{1B}[>31u", "\u{1B}[=3;1u", "\u{1B}[>4;2m", "\u{1B}[?1003h\u{1B}[?1016h",
        "\u{1B}[?2031h",
        "\u{1B}[>1u\u{1B}[?1049h\u{1B}[>3u",
    ])
    func keyboardAndMouseModesAreInASnapshot(on: String) {
        var screen = Screen(rows: 4, columns: 10)
        screen.feed(Array(on.utf8))
        var late = Screen(rows: 4, columns: 10)
        late.feed(screen.snapshot())
        #expect(late.modes == screen.modes && late.modes != Modes())
        late.feed(Array(Modes.off.utf8))
        #expect(late.modes == Modes())
    }

    @Test func kittysFlagsAreAStackForEachScreen() {
        var screen = Screen(rows: 4, columns: 10)
        func flags(_ text: String) -> UInt8? {
            screen.feed(Array(text.utf8))
            return screen.modes.keyboard.stack.last
        }
        #expect(flags("\u{1B}[>5u") == 5 && flags("\u{1B}[=2;2u") == 7 && flags("\u{1B}[=4;3u") == 3)
        #expect(flags("\u{1B}[?1049h") == 0 && flags("\u{1B}[>1u") == 1 && flags("\u{1B}[?1049l") == 3)
        #expect(flags("\u{1B}[<u") == 0 && flags("\u{1B}[<9u") == 0)
        for _ in 0..<100 { _ = flags("\u{1B}[>1u") }
        #expect(screen.modes.keyboard.stack.count == 16)
    }

    /// Programs colour underlines since Neovim and systemd do; what is not known must not become something else.
    @Test(arguments: [
        ("\u{1B}[4;58:5:245m", 1, Color.indexed(245)), ("\u{1B}[4;58;5;1m", 1, .indexed(1)),
        ("\u{1B}[4:3;58:2::200:40:31m", 3, .rgb(200, 40, 31)), ("\u{1B}[4;58;2;9;7;31m", 1, .rgb(9, 7, 31)),
        ("\u{1B}[21m", 2, .standard), ("\u{1B}[4:5;58:5:1;59m", 5, .standard), ("\u{1B}[4:3m\u{1B}[24m", 0, .standard),
    ])
    func underlinesKeepTheirKindAndColour(sgr: String, kind: Int, color: Color) {
        var screen = Screen(rows: 2, columns: 4)
        screen.feed(Array("\(sgr)x".utf8))
        let style = screen.lines[0][0].style
        #expect(style.underlineKind == UInt8(kind) && style.underlineColor == color)
        #expect(
            style.attributes == (kind == 0 ? [] : [.underline]) && style.foreground == .standard
                && style.background == .standard)
        var late = Screen(rows: 2, columns: 4)
        late.feed(screen.snapshot())
        #expect(late.lines[0][0] == screen.lines[0][0])
    }

    private func screen(_ text: String, rows: Int = 5, columns: Int = 10) -> Screen {
        var screen = Screen(rows: rows, columns: columns)
        screen.feed(Array(text.utf8))
        return screen
    }

    @Test(arguments: [
        ("hello\r\nworld", ["hello", "world", "", "", ""], 1, 5),
        ("0123456789ab", ["0123456789", "ab", "", "", ""], 1, 2),
        ("0123456789\r\nab", ["0123456789", "ab", "", "", ""], 1, 2),
        ("1\r\n2\r\n3\r\n4\r\n5\r\n6", ["2", "3", "4", "5", "6"], 4, 1),
        ("abc\u{08}\u{08}X", ["aXc", "", "", "", ""], 0, 2),
        ("a\tb", ["a       b", "", "", "", ""], 0, 9),
        ("\u{1B}[3;4Hx", ["", "", "   x", "", ""], 2, 4),
        ("abcdef\u{1B}[3D\u{1B}[K", ["abc", "", "", "", ""], 0, 3),
        ("abcdef\u{1B}[4D\u{1B}[2P", ["abef", "", "", "", ""], 0, 2),
        ("abcdef\u{1B}[4D\u{1B}[2@", ["ab  cdef", "", "", "", ""], 0, 2),
        ("a\r\nb\r\nc\u{1B}[2;1H\u{1B}[L", ["a", "", "b", "c", ""], 1, 0),
        ("a\r\nb\r\nc\u{1B}[2;1H\u{1B}[M", ["a", "c", "", "", ""], 1, 0),
        ("\u{1B}[2;4r1\r\n2\r\n3\r\n4\r\n5", ["1", "3", "4", "5", ""], 3, 1),
        ("\u{1B}(0lqk\u{1B}(B", ["┌─┐", "", "", "", ""], 0, 3),
        ("漢字x", ["漢字x", "", "", "", ""], 0, 5),
        ("123456789漢", ["123456789", "漢", "", "", ""], 1, 2),
        ("e\u{301}x", ["e\u{301}x", "", "", "", ""], 0, 2),
        ("main\u{1B}[?1049halt\u{1B}[?1049l!", ["main!", "", "", "", ""], 0, 5),
        ("x\u{1B}[5b", ["xxxxxx", "", "", "", ""], 0, 6),
        ("\u{1B}]0;title\u{07}y", ["y", "", "", "", ""], 0, 1),
        ("\u{1B}P1;2|garbage\u{1B}\\y", ["y", "", "", "", ""], 0, 1),
        ("0123456789\u{1B}[K", ["0123456789", "", "", "", ""], 0, 9),
    ]) func outputMakesTheScreenItMakesInXterm(text: String, lines: [String], row: Int, column: Int) {
        let screen = screen(text)
        #expect(screen.text == lines)
        #expect(screen.cursor == (row, column))
    }

    @Test func bytesMayBeCutAnywhere() {
        let text = "a\u{1B}[1;31mré漢\u{1B}]2;t\u{07}\u{1B}[2;3H\u{1B}[?2004hz"
        var cut = Screen(rows: 5, columns: 10)
        for byte in Array(text.utf8) { cut.feed([byte]) }
        let whole = screen(text)
        #expect(cut.lines == whole.lines && cut.cursor == whole.cursor && cut.modes == whole.modes && cut.title == "t")
    }

    @Test func resizingKeepsTheTopLeftAndTheCursorsLine() {
        var screen = screen("1\r\n2\r\n3\r\n4\r\n5")
        screen.resize(rows: 3, columns: 4)
        #expect(screen.text == ["3", "4", "5"] && screen.cursor == (2, 1))
        screen.resize(rows: 5, columns: 10)
        #expect(screen.text == ["3", "4", "5", "", ""])
        screen.resize(rows: 0, columns: 100_000)
        #expect(screen.rows == 1 && screen.columns == Screen.columnLimit)
    }
}

/// Programs nobody would write: random text, moves, styles, modes and cuts.
struct OutputGenerator {
    var dice: SeededGenerator

    mutating func output(_ pieces: Int) -> [UInt8] {
        (0..<pieces).flatMap { _ in Array(piece().utf8) }
    }

    private mutating func piece() -> String {
        func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &dice) }
        switch number(0...17) {
        case 0...3:
            return String((0..<number(1...30)).map { _ in Character(UnicodeScalar(UInt8(number(0x20...0x7E)))) })
        case 4: return ["漢字", "é", "e\u{301}", "👍", "❤️", "한", "\u{200D}", "█"][number(0...7)]
        case 5: return ["\r\n", "\n", "\r", "\u{08}", "\t", "\u{0E}", "\u{0F}"][number(0...6)]
        case 6: return "\u{1B}[\(number(0...30));\(number(0...90))H"
        case 7: return "\u{1B}[\(number(0...12))\(["A", "B", "C", "D", "E", "F", "G", "d"][number(0...7)])"
        case 8: return "\u{1B}[\(number(0...3))\(["J", "K"][number(0...1)])"
        case 9: return "\u{1B}[\(number(0...8))\(["@", "P", "X", "L", "M", "S", "T", "b"][number(0...7)])"
        case 10: return "\u{1B}[\([0, 1, 3, 4, 7, 9, 31, 42, 91, 105, 39, 49][number(0...11)])m"
        case 11: return "\u{1B}[38;5;\(number(0...255));48;2;1;2;\(number(0...255))m"
        case 12: return "\u{1B}[\(number(1...10));\(number(5...24))r"
        case 13:
            return
                "\u{1B}[?\([1, 5, 6, 7, 25, 1000, 1002, 1006, 1004, 2004][number(0...9)])\(["h", "l"][number(0...1)])"
        case 14: return "\u{1B}[?1049\(["h", "l"][number(0...1)])"
        case 15:
            return ["\u{1B}7", "\u{1B}8", "\u{1B}M", "\u{1B}D", "\u{1B}=", "\u{1B}>", "\u{1B}H", "\u{1B}[3g"][
                number(0...7)]
        case 16: return ["\u{1B}(0", "\u{1B}(B", "\u{1B})0", "\u{1B}[4h", "\u{1B}[4l", "\u{1B}[3 q"][number(0...5)]
        default: return "\u{1B}]2;title \(number(0...9))\u{07}"
        }
    }
}

/// A generator whose failures can be repeated (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The first cell that differs, in words.
func difference(_ left: Screen, _ right: Screen) -> String? {
    for (row, (one, other)) in zip(left.lines, right.lines).enumerated() {
        for (column, (a, b)) in zip(one, other).enumerated() where a != b { return "\(row),\(column): \(a) \(b)" }
    }
    return left.rows == right.rows && left.columns == right.columns ? nil : "sizes"
}

/// Seeds for random output: `make fuzz` takes many, a plain test run few.
let fuzzSeeds = UInt64(getenv("FUZZ_RUNS").flatMap { Int(String(cString: $0)) } ?? 20_000) / 500

@Suite struct SnapshotTests {
    @Test func aSnapshotMakesTheSameScreenWhateverWentBefore() {
        for seed in 0..<(10 * fuzzSeeds) {
            var generator = OutputGenerator(dice: SeededGenerator(state: seed))
            var screen = Screen(rows: 24, columns: 80)
            screen.feed(generator.output(120))
            // The receiver is not new: it shows something else, in other modes.
            var copy = Screen(rows: 24, columns: 80)
            copy.feed(generator.output(40))
            copy.feed(screen.snapshot())
            #expect(difference(copy, screen) == nil, "seed \(seed)")
            #expect(copy.cursor == screen.cursor && copy.modes == screen.modes, "seed \(seed)")
            #expect(copy.isAlternate == screen.isAlternate, "seed \(seed)")
            if difference(copy, screen) != nil { return }
            // And it goes on in the same way, back on the main screen as well.
            let more = generator.output(40) + Array("\u{1B}[?1049lx".utf8)
            screen.feed(more)
            copy.feed(more)
            #expect(difference(copy, screen) == nil && copy.cursor == screen.cursor, "seed \(seed), later")
            if difference(copy, screen) != nil { return }
        }
    }

    @Test func aSnapshotOfTheLargestWindowStaysWithinItsBound() {
        var generator = OutputGenerator(dice: SeededGenerator(state: 1))
        var screen = Screen(rows: 60, columns: 200)
        for _ in 0..<50 { screen.feed(generator.output(200)) }
        #expect(screen.snapshot(within: 256 << 10).count <= 256 << 10)
        // The worst there is: every cell of the largest window another colour. The text stays, within one message.
        var noise = Screen(rows: Screen.rowLimit, columns: Screen.columnLimit)
        let cells = (0..<(Screen.rowLimit * Screen.columnLimit)).map { "\u{1B}[38;5;\($0 % 256)m\u{1D400}" }
        noise.feed(Array(cells.joined().utf8))
        let output = noise.snapshot(within: 256 << 10)
        #expect(output.count < 1 << 20)
        var copy = Screen(rows: Screen.rowLimit, columns: Screen.columnLimit)
        copy.feed(output)
        #expect(copy.text == noise.text)
    }
}

@Suite struct FramedViewTests {
    @Test func aLargerTerminalShowsTheWholeScreenAfterEveryChange() {
        for seed in 0..<100 as Range<UInt64> {
            var generator = OutputGenerator(dice: SeededGenerator(state: seed))
            var screen = Screen(rows: 20, columns: 60)
            var view = FramedView(rows: 30, columns: 100)
            var terminal = Screen(rows: 30, columns: 100)
            for _ in 0..<20 {
                screen.feed(generator.output(10))
                terminal.feed(view.draw(screen))
                for row in 0..<20 where Array(terminal.lines[row][..<60]) != screen.lines[row] {
                    Issue.record("seed \(seed), row \(row)")
                    return
                }
                #expect(terminal.cursor == screen.cursor, "seed \(seed)")
                #expect(terminal.lines[3][60].scalar == "│" && terminal.lines[20][60].scalar == "┘")
            }
        }
    }

    @Test func aSmallerTerminalShowsThePartAroundTheCursor() {
        var screen = Screen(rows: 24, columns: 80)
        screen.feed(Array((1...24).map { "line \($0)" }.joined(separator: "\r\n").utf8))
        var view = FramedView(rows: 10, columns: 70)
        var terminal = Screen(rows: 10, columns: 70)
        terminal.feed(view.draw(screen))
        #expect(terminal.text[0] == "line 16" && terminal.text[8] == "line 24")
        #expect(terminal.text[9].contains("host's window: 80×24"))
        #expect(terminal.cursor == (8, 7))
        screen.feed(Array("\u{1B}[1;1H".utf8))
        terminal.feed(view.draw(screen))
        #expect(terminal.text[0] == "line 1" && terminal.cursor == (0, 0))
    }
}

@Suite struct FuzzTests {
    @Test func arbitraryBytesNeverCrashAndKeepTheScreensShape() {
        for seed in 0..<fuzzSeeds {
            var dice = SeededGenerator(state: seed)
            var screen = Screen(
                rows: Int.random(in: 1...30, using: &dice), columns: Int.random(in: 1...100, using: &dice))
            for _ in 0..<20 {
                let special: [UInt8] = [0x1B, 0x5B, 0x3B, 0x3F, 0x9B, 0x07, 0x0A, 0xE6, 0xF0]
                let bytes = (0..<200).map { _ -> UInt8 in
                    Bool.random(using: &dice)
                        ? .random(in: 0...255, using: &dice) : special.randomElement(using: &dice) ?? 0
                }
                screen.feed(bytes)
                if Int.random(in: 0..<5, using: &dice) == 0 {
                    screen.resize(rows: .random(in: 1...40, using: &dice), columns: .random(in: 1...120, using: &dice))
                }
                _ = screen.snapshot()
                #expect(screen.lines.count == screen.rows && screen.lines.allSatisfy { $0.count == screen.columns })
                #expect(
                    (0..<screen.rows).contains(screen.cursor.row) && (0..<screen.columns).contains(screen.cursor.column)
                )
            }
        }
    }

    /// OSC 8: a link stands beside SGR, which does not end it, and comes along in snapshots and frames.
    @Test func linksComeAlong() {
        var screen = Screen(rows: 2, columns: 20)
        screen.feed(
            Array("\u{1B}]8;id=1;https://box.example/x\u{1B}\\the \u{1B}[1;31mli\u{1B}[0mnk\u{1B}]8;;\u{07} on".utf8))
        let links = screen.lines[0].prefix(11).map(\.style.link.address)
        #expect(links == Array(repeating: "https://box.example/x", count: 8) + ["", "", ""])
        var copy = Screen(rows: 2, columns: 20)
        copy.feed(screen.snapshot())
        #expect(copy.lines == screen.lines)
        var view = FramedView(rows: 5, columns: 40)
        let framed = String(decoding: view.draw(screen), as: UTF8.self)
        #expect(framed.contains("\u{1B}]8;id=1;https://box.example/x\u{1B}\\"))
        // A snapshot begins without the link that the receiver's terminal may be in.
        #expect(
            String(decoding: Screen(rows: 2, columns: 20).snapshot(), as: UTF8.self).hasPrefix("\u{1B}]8;;\u{1B}\\"))
    }

    @Test(arguments: [
        "8;;\u{1B}[31m", "8;", "8;no-separator", "8;;https://box.example/\u{E4}",
        "8;;https://" + String(repeating: "a", count: 3000),
    ])
    func whatIsNoLinkIsShownWithoutOne(command: String) {
        var screen = Screen(rows: 1, columns: 10)
        screen.feed(Array("\u{1B}]\(command)\u{07}x".utf8))
        #expect(screen.lines[0].allSatisfy { $0.style.link.address.isEmpty })
    }

    /// Colours that a program gave its terminal come along, and only those go back when a guest leaves.
    @Test func changedColoursAreInASnapshotAndGoBack() {
        var screen = Screen(rows: 2, columns: 10)
        screen.feed(
            Array(
                "\u{1B}]4;1;rgb:ff/00/00;2;#00ff00\u{07}\u{1B}]10;white;black\u{1B}\\\u{1B}]4;3;?\u{07}\u{1B}]12;red\u{07}"
                    .utf8))
        screen.feed(Array("\u{1B}]104;2\u{07}\u{1B}]112\u{07}".utf8))
        let snapshot = String(decoding: screen.snapshot(), as: UTF8.self)
        for part in ["]4;1;rgb:ff/00/00\u{07}", "]10;white\u{07}", "]11;black\u{07}", "]104;2\u{07}", "]112\u{07}"] {
            #expect(snapshot.contains("\u{1B}\(part)"), "\(part)")
        }
        var late = Screen(rows: 2, columns: 10)
        late.feed(screen.snapshot())
        #expect(late.modes == screen.modes)
        #expect(
            screen.modes.coloursOff
                == "\u{1B}]104;1\u{07}\u{1B}]104;2\u{07}\u{1B}]110\u{07}\u{1B}]111\u{07}\u{1B}]112\u{07}")
        // Whoever changed nothing has nothing to put back: colours of a person's own shell stay.
        #expect(Screen(rows: 1, columns: 1).modes.coloursOff.isEmpty)
        let plain = String(decoding: Screen(rows: 1, columns: 1).snapshot(), as: UTF8.self)
        #expect(!plain.contains("]104") && !plain.contains("]110"))
    }

    @Test(arguments: [
        "4;1;rgb:\u{1B}x", "4;999;red", "4;-1;red", "4;1;\(String(repeating: "f", count: 99))", "13;red", "4", "4;;",
        "10;a b",
    ])
    func whatIsNoColourChangesNothing(command: String) {
        var screen = Screen(rows: 1, columns: 10)
        screen.feed(Array("\u{1B}]\(command)\u{07}".utf8))
        #expect(screen.modes == Modes())
    }

    /// A picture passes live and is not kept: a guest who comes later reads that there is one.
    @Test(arguments: [
        "\u{1B}P0;1;8q\"1;1;2;2#0;2;0;0;0#0~~\u{1B}\\", "\u{1B}_Gf=100,a=T,m=1;AAAA\u{1B}\\\u{1B}_Gm=0;BBBB\u{1B}\\",
        "\u{1B}_Ga=p,i=7\u{1B}\\", "\u{1B}]1337;File=inline=1:\(String(repeating: "A", count: 9_000))\u{07}",
    ])
    func aPictureIsAWordInASnapshot(picture: String) {
        var screen = Screen(rows: 3, columns: 20)
        screen.feed(Array("see: \(picture)\r\nnext".utf8))
        var late = Screen(rows: 3, columns: 20)
        late.feed(screen.snapshot())
        #expect(late.text == ["see: [picture]", "next", ""])
    }

    @Test(arguments: [
        "\u{1B}P$qm\u{1B}\\", "\u{1B}P+q544e\u{1B}\\", "\u{1B}_Ga=q,i=1\u{1B}\\", "\u{1B}_Gm=0;AA\u{1B}\\",
        "\u{1B}^x\u{1B}\\",
    ])
    func otherStringsAreNoPicture(string: String) {
        var screen = Screen(rows: 1, columns: 20)
        screen.feed(Array("\(string)x".utf8))
        #expect(screen.text == ["x"])
    }
}
