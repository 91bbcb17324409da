import Testing

@testable import Client

@Suite struct ClipboardFilterTests {
    private func passed(_ text: String, cut: Int = .max) -> String {
        var filter = ClipboardFilter()
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            out += filter.pass(Array(rest.prefix(cut)))
            rest = rest.dropFirst(cut)
        }
        return String(decoding: out, as: UTF8.self)
    }

    @Test(arguments: [
        ("a\u{1B}]52;c;aGk=\u{07}b", "ab"),
        ("a\u{1B}]52;c;aGk=\u{1B}\\b", "ab"),
        ("a\u{1B}]52;c;?\u{1B}\\b", "ab"),
        // What ends it by beginning something else is passed on.
        ("a\u{1B}]52;c;aGk=\u{1B}[1mb", "a\u{1B}[1mb"),
        ("\u{1B}]52;c;x\u{1B}]52;p;y\u{07}z", "z"),
        ("\u{1B}]2;title\u{07}\u{1B}[31mred", "\u{1B}]2;title\u{07}\u{1B}[31mred"),
        ("\u{1B}]5\u{1B}]52;c;x\u{07}", "\u{1B}]5"),
        // As lenient terminals read it.
        ("a\u{1B}]052;c;x\u{07}b", "ab"), ("a\u{1B}\u{00}]52;c;x\u{07}b", "ab"), ("a\u{1B}]5\u{00}2;c;x\u{07}b", "ab"),
        ("a\u{9D}52;c;x\u{07}b", "ab"), ("a\u{1B}]5522;type=write\u{1B}\\b", "ab"),
        ("a\u{1B}]1337;Copy=:aGk=\u{07}b", "ab"),
        ("a\u{1B}]1337;CopyToClipboard=\u{07}evil\u{1B}]1337;EndCopy\u{07}b", "aevilb"),
        ("\u{1B}\u{1B}]52;c;x\u{07}y", "\u{1B}y"),
        ("\u{1B}]\(String(repeating: "0", count: 99))52;c;x\u{07}y", "y"),
        // And what only looks like it.
        ("\u{1B}]1337;File=inline=1:AAAA\u{07}b", "\u{1B}]1337;File=inline=1:AAAA\u{07}b"),
        ("\u{1B}]8;;https://box.example\u{1B}\\x", "\u{1B}]8;;https://box.example\u{1B}\\x"),
        ("\u{1B}]520;x\u{07}é\u{A0}", "\u{1B}]520;x\u{07}é\u{A0}"),
        ("plain", "plain"),
    ])
    func whatSetsTheClipboardIsTakenOutHoweverItIsCut(text: String, expected: String) {
        for cut in [1, 2, 3, 5, Int.max] { #expect(passed(text, cut: cut) == expected, "cut \(cut)") }
    }
}
