import Testing

@testable import Client

@Suite struct TerminalAnswersTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// What terminals answer to the queries of the VT, xterm and kitty families.
    private static let answers = [
        "\u{1B}[11;1R", "\u{1B}[?11;1R", "\u{1B}[0n", "\u{1B}[3n", "\u{1B}[?13n", "\u{1B}[?997;1n", "\u{1B}[?62;22c",
        "\u{1B}[>41;388;0c",
        "\u{1B}[?2026;2$y", "\u{1B}[4;1$y", "\u{1B}[?5u", "\u{1B}[>4;2m", "\u{1B}[?2;0;800;600S", "\u{1B}[4;600;800t",
        "\u{1B}[8;24;80t",
        "\u{1B}[2;1;1;112;112;1;0x", "\u{1B}]10;rgb:ffff/ffff/ffff\u{07}", "\u{1B}]11;rgb:1e1e/1e1e/1e1e\u{1B}\\",
        "\u{1B}]4;1;rgb:aa/00/00\u{1B}\\",
        "\u{1B}]52;c;aGVsbG8=\u{07}", "\u{1B}]l title\u{1B}\\", "\u{1B}P>|xterm(388)\u{1B}\\", "\u{1B}P1$r0m\u{1B}\\",
        "\u{1B}P1+r544e=787465726d\u{1B}\\",
        "\u{1B}P!|00000000\u{1B}\\", "\u{1B}_Gi=1;OK\u{1B}\\",
    ].filter { !$0.hasPrefix("\u{1B}]l") }

    @Test(arguments: answers) func answersAreLeftOutAndWhatIsTypedAroundThemIsNot(answer: String) {
        var filter = TerminalAnswers()
        #expect(filter.filter(bytes("a\(answer)b\(answer)")) == bytes("ab"))
        // Cut anywhere but behind the ESC, which may be the key.
        let whole = bytes("a\(answer)b")
        for cut in 4..<whole.count {
            var filter = TerminalAnswers()
            #expect(filter.filter(Array(whole[..<cut])) + filter.filter(Array(whole[cut...])) == bytes("ab"), "\(cut)")
        }
    }

    @Test(arguments: [
        "\u{1B}", "\u{1B}[A", "\u{1B}OR", "\u{1B}[R", "\u{1B}[1;5C", "\u{1B}[1;2R", "\u{1B}[1;2S", "\u{1B}[3~",
        "\u{1B}[15;5~", "\u{1B}[97;5u", "\u{1B}[<0;3;4M",
        "\u{1B}[<0;3;4m", "\u{1B}[I", "\u{1B}[O", "\u{1B}]", "\u{1B}P", "\u{1B}_", "\u{1B}x",
        "\u{1B}[200~text\u{1B}[201~", "\u{1B}[27;5;105~", "\u{1B}[c",
    ])
    func keysAreTyped(key: String) {
        var filter = TerminalAnswers()
        #expect(filter.filter(bytes(key)) == bytes(key))
        #expect(filter.filter(bytes("x\(key)y")) == bytes("x\(key)y"))
    }

    @Test func aCursorInTheFirstRowIsAnAnswerWhereItWasAskedFor() {
        var filter = TerminalAnswers()
        filter.askedForPosition(1)
        #expect(filter.filter(bytes("\u{1B}[1;2R\u{1B}[1;2R")) == bytes("\u{1B}[1;2R"))
        // A terminal that never answers does not take the key away for good.
        filter.askedForPosition(1000)
        for _ in 0..<16 { #expect(filter.filter(bytes("\u{1B}[1;5R")).isEmpty) }
        #expect(filter.filter(bytes("\u{1B}[1;5R")) == bytes("\u{1B}[1;5R"))
    }

    @Test func anAnswerWithoutAnEndIsNotKeptForEver() {
        var filter = TerminalAnswers()
        #expect(filter.filter(bytes("\u{1B}]11;rgb:")).isEmpty)
        let long = [UInt8](repeating: 0x61, count: 70_000)
        #expect(filter.filter(long).count > 70_000)
    }
}
