import Model
import Testing

@Suite struct VisibleTextTests {
    /// Every character that a terminal acts on or that a text renderer reorders by.
    static let controls: [Unicode.Scalar] =
        (Array(0x00...0x1F) + Array(0x7F...0x9F) + [0x061C, 0x200E, 0x200F, 0x2028, 0x2029] + Array(0x202A...0x202E)
        + Array(0x2066...0x2069)).compactMap { Unicode.Scalar(UInt32($0)) }

    @Test(arguments: controls) func everyControlIsShownAndNotCarriedOut(control: Unicode.Scalar) {
        let text = "a\(Character(control))b"
        let shown = VisibleText.escaped(text)
        #expect(VisibleText.isPlain(shown) && !VisibleText.isPlain(text))
        #expect(shown == "a\\u{\(String(control.value, radix: 16, uppercase: true))}b")
        #expect(TerminalText("<\(text)>\n").text == "<\(shown)>\n")
        #expect(VisibleText.removed(text) == "ab")
        #expect(VisibleText.isPlain(VisibleText.escapedJSON("\"\(text)\"")))
    }

    @Test func lettersOfEveryScriptStayAsTheyAre() {
        for text in ["Ünal", "日本", "שלום", "👩‍👩‍👧", "a\u{301}", "é\u{200D}", ""] {
            #expect(VisibleText.escaped(text) == text && VisibleText.removed(text) == text)
        }
    }

    /// CR LF is one character to Swift and two to a terminal.
    @Test func aLineBreakOfAnotherIsShown() {
        #expect(TerminalText("\("a\r\nb")").text == "a\\u{D}\\u{A}b")
    }

    @Test func ourOwnTextKeepsItsLineBreaks() {
        let inner: TerminalText = "one\ttwo\n"
        #expect(TerminalText("\(inner)three").text == "one\ttwo\nthree")
    }
}
