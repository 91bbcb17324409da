/// The modes a program can switch on that outlive a sequence, by their DEC private numbers where they have one.
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
    /// 0, or 1005, 1006, 1015: how they are spelled.
    public var mouseEncoding = 0
    public var keypad = false  // ESC =
    public var insert = false  // ANSI 4
    public var newLine = false  // ANSI 20
    /// DECSCUSR; 0 is the terminal's own choice.
    public var cursorShape = 0

    public init() {}

    /// What leads from one set of modes to another, for everything a terminal at the other end must know: keys, mouse,
    /// paste, cursor. Origin, insert and wrap modes concern drawing and are not among them.
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
        if keypad != old.keypad { text += keypad ? "\u{1B}=" : "\u{1B}>" }
        if cursorShape != old.cursorShape { text += "\u{1B}[\(cursorShape) q" }
        set(25, cursorVisible, old.cursorVisible)
        return text
    }
}
