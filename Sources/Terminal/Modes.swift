/// The modes that a program can set and that last beyond a sequence, by their DEC private numbers if they have one.
public struct Modes: Sendable, Equatable {
    public var cursorKeys = false  // 1
    public var reverseScreen = false  // 5
    public var origin = false  // 6
    public var autowrap = true  // 7
    public var cursorVisible = true  // 25
    public var focusEvents = false  // 1004
    public var bracketedPaste = false  // 2004
    /// 0, or 9, 1000, 1002, 1003: which mouse events are reported.
    public var mouse = 0
    /// 0, or 1005, 1006, 1015, 1016: how mouse events are encoded.
    public var mouseEncoding = 0
    public var keypad = false  // ESC =
    public var insert = false  // ANSI 4
    public var newLine = false  // ANSI 20
    public var colourSchemeReports = false  // 2031
    /// Colours that a program has changed.
    var palette = Palette()
    /// DECSCUSR; 0 is the terminal's default.
    public var cursorShape = 0
    /// The keyboard modes of the visible screen.
    var keyboard = KeyboardModes()
    /// xterm's modifyOtherKeys; 0 is off.
    var otherKeys = 0

    public init() {}

    /// The sequence that changes one set of modes to another, for everything that a terminal at the other end must
    /// know: keys, mouse, paste, cursor. Origin, insert and wrap modes concern drawing and are not included.
    func sequence(from old: Modes) -> String {
        var text = ""
        func set(_ number: Int, _ now: Bool, _ before: Bool) {
            if now != before { text += "\u{1B}[?\(number)\(now ? "h" : "l")" }
        }
        set(1, cursorKeys, old.cursorKeys)
        set(5, reverseScreen, old.reverseScreen)
        set(1004, focusEvents, old.focusEvents)
        set(2004, bracketedPaste, old.bracketedPaste)
        if mouse != old.mouse {
            if old.mouse != 0 { text += "\u{1B}[?\(old.mouse)l" }
            if mouse != 0 { text += "\u{1B}[?\(mouse)h" }
        }
        if mouseEncoding != old.mouseEncoding {
            if old.mouseEncoding != 0 { text += "\u{1B}[?\(old.mouseEncoding)l" }
            if mouseEncoding != 0 { text += "\u{1B}[?\(mouseEncoding)h" }
        }
        set(2031, colourSchemeReports, old.colourSchemeReports)
        if keyboard != old.keyboard { text += keyboard.sequence(from: old.keyboard) }
        if otherKeys != old.otherKeys { text += "\u{1B}[>4;\(otherKeys)m" }
        if keypad != old.keypad { text += keypad ? "\u{1B}=" : "\u{1B}>" }
        if cursorShape != old.cursorShape { text += "\u{1B}[\(cursorShape) q" }
        text += palette.sequence(from: old.palette)
        set(25, cursorVisible, old.cursorVisible)
        return text
    }
}

extension Modes {
    /// Puts colours back that a program has changed; ``off`` cannot know them.
    public var coloursOff: String { palette.off }

    /// Resets everything that a program may have switched on in a person's terminal: every mode that the model passes
    /// through, and those that pass live and are in no snapshot (2026). Kitty has separate keyboard flags for each
    /// screen; `[<` pops more than there can be. postern-tty (CPlatform) has the same text, for a crash.
    public static let off =
        "\u{1B}[?2026l\u{1B}[<99u\u{1B}[?1049l\u{1B}[<99u\u{1B}[=0;1u\u{1B}[>4m\u{1B}[r\u{1B}[?6l\u{1B}[?7h\u{1B}[4l\u{1B}[20l\u{1B}[?1l\u{1B}>"
        + "\u{1B}[?5l\u{1B}[?9l\u{1B}[?1000l\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?1005l\u{1B}[?1006l\u{1B}[?1015l\u{1B}[?1016l\u{1B}[?1004l"
        + "\u{1B}[?2004l\u{1B}[?2031l\u{1B}(B\u{1B})B\u{0F}\u{1B}[0 q\u{1B}[?25h\u{1B}[0m"
}

/// The kitty keyboard protocol's progressive enhancement (https://sw.kovidgoyal.net/kitty/keyboard-protocol/): a stack of flags.
struct KeyboardModes: Sendable, Equatable {
    /// The same limit as in kitty.
    private static let deepest = 16

    /// The last flags are the active ones.
    private(set) var stack: [UInt8] = [0]

    mutating func push(_ flags: Int) {
        if stack.count == Self.deepest { stack.removeFirst() }
        stack.append(UInt8(truncatingIfNeeded: flags & 31))
    }

    /// Popping more than there are leaves the default.
    mutating func pop(_ count: Int) {
        stack = count < stack.count ? Array(stack.dropLast(count)) : [0]
    }

    /// - Parameter way: 1 sets exactly these flags, 2 adds them, 3 removes them.
    mutating func set(_ flags: Int, way: Int) {
        let flags = UInt8(truncatingIfNeeded: flags & 31)
        let now = stack.removeLast()
        stack.append(way == 2 ? now | flags : way == 3 ? now & ~flags : flags)
    }

    func sequence(from old: KeyboardModes) -> String {
        var text = old == KeyboardModes() ? "" : "\u{1B}[<\(old.stack.count)u\u{1B}[=0;1u"
        if let base = stack.first, base != 0 { text += "\u{1B}[=\(base);1u" }
        for flags in stack.dropFirst() { text += "\u{1B}[>\(flags)u" }
        return text
    }
}
