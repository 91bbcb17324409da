import Terminal
import Testing

@testable import Client

@Suite struct MenuTests {
    private let people = [Menu.Person(peerId: "p1", name: "Ben", canType: true, isConnected: true)]
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func whatIsTypedGoesToTheSessionButForThePrefixAndTheKeyBehindIt() {
        var menu = Menu(role: .guest)
        let (typed, actions) = menu.sort(bytes("ab\u{1D}xcd"), people: [])
        #expect(typed == bytes("abcd") && actions == [.draw] && !menu.isOpen)
    }

    @Test func thePrefixTwiceTypesItOnce() {
        var menu = Menu(role: .host)
        let (typed, actions) = menu.sort(bytes("a\u{1D}\u{1D}b"), people: people)
        #expect(typed == bytes("a\u{1D}b") && actions.isEmpty)
    }

    @Test func aCommandMayComeInPiecesAndKeepsWhatCameAroundIt() {
        var menu = Menu(role: .host)
        #expect(menu.sort(bytes("a\u{1D}"), people: people).typed == bytes("a"))
        #expect(menu.isOpen)
        #expect(menu.sort(bytes("k"), people: people).actions == [.draw])
        let (typed, actions) = menu.sort(bytes("1b"), people: people)
        #expect(typed == bytes("b") && actions == [.kick(peerId: "p1")])
    }

    /// As programs switch them on: fish, Neovim and Helix with kitty's protocol, vim with xterm's.
    @Test(arguments: [
        "\u{1D}", "\u{1B}[93;5u", "\u{1B}[93;5:1u", "\u{1B}[93;69u", "\u{1B}[93:125:93;5u", "\u{1B}[93;6u",
        "\u{1B}[27;5;93~",
    ])
    func thePrefixOpensTheMenuUnderEveryKeyboardProtocol(prefix: String) {
        var menu = Menu(role: .host)
        #expect(menu.sort(bytes("a\(prefix)"), people: people).typed == bytes("a"))
        #expect(menu.isOpen)
        // Twice types it, as the program wants it spelled.
        #expect(menu.sort(bytes(prefix), people: people).typed == bytes(prefix))
        #expect(!menu.isOpen)
        // Its keys come in the same protocol.
        let (typed, actions) = menu.sort(
            bytes("\(prefix)\u{1B}[93;5:3u\u{1B}[107;1:1u\u{1B}[107;1:3u\u{1B}[49uz"), people: people)
        #expect(typed == bytes("z") && actions == [.draw, .kick(peerId: "p1")])
    }

    @Test func otherKeysGoToTheProgramAsTheyAreSpelled() {
        var menu = Menu(role: .guest)
        for text in [
            "\u{1B}[A", "\u{1B}[1;5C", "\u{1B}[93u", "\u{1B}[93;3u", "\u{1B}[97;5u", "\u{1B}[93;5:3u",
            "\u{1B}[27;5;105~", "\u{1B}[3~",
            "\u{1B}", "\u{1B}[", "\u{1B}a", "\u{1B}OP", "\u{1B}[<0;3;4M", "\u{1B}[200~pasted\u{1B}[201~",
        ] {
            #expect(menu.sort(bytes(text), people: []).typed == bytes(text), "\(text.debugDescription)")
            #expect(!menu.isOpen)
        }
        // An arrow closes the menu, and is no text.
        let (typed, actions) = menu.sort(bytes("\u{1D}\u{1B}[Bx"), people: [])
        #expect(typed == bytes("x") && actions == [.draw])
    }

    @Test func aKeyMayComeInPieces() {
        let whole = bytes("a\u{1B}[93;5ub\u{1B}[Ac")
        for cut in 0...whole.count {
            var menu = Menu(role: .guest)
            let (first, second) = (
                menu.sort(Array(whole[..<cut]), people: []), menu.sort(Array(whole[cut...]), people: [])
            )
            let (typed, actions) = (first.typed + second.typed, first.actions + second.actions)
            // Between ESC and its bracket nobody can know what comes.
            if (2...3).contains(cut) || (9...10).contains(cut) { continue }
            #expect(typed == bytes("a\u{1B}[Ac") && actions == [.draw], "\(cut)")
        }
    }

    @Test func aGuestCannotEndTheSessionAndAHostDoesNotLeaveIt() {
        var (guest, host) = (Menu(role: .guest), Menu(role: .host))
        #expect(guest.sort(bytes("\u{1D}e\u{1D}l"), people: []).actions == [.draw, .leave])
        #expect(host.sort(bytes("\u{1D}q\u{1D}ey"), people: people).actions == [.draw, .draw, .end])
    }

    @Test func aQuestionIsAnsweredByYesOrNoAloneAndTheNextOneFollows() {
        var menu = Menu(role: .host)
        menu.ask(peerId: "p2", account: "cleo", name: nil, canType: true)
        menu.ask(peerId: "p3", account: "dora", name: "Dora", canType: false)
        let (typed, actions) = menu.sort(bytes("qyn!"), people: people)
        #expect(typed == bytes("!"))
        #expect(actions == [.none, .decide(peerId: "p2", admit: true), .decide(peerId: "p3", admit: false)])
    }

    /// The guest's own words stood in front, and could say what the host reads as the question.
    @Test func whatAGuestCallsItselfComesLastAndInQuotes() throws {
        var menu = Menu(role: .host)
        let forged = "ben (ben) asks to watch.  y let in · n refuse” or “           "
        menu.ask(peerId: "p2", account: "cy", name: forged, canType: true)
        let line = try #require(menu.lines(people: []).first)
        #expect(line.hasPrefix("postern  admit?  y yes · n no  cy asks to type, using the name “ben"))
        #expect(line.filter { $0 == "“" || $0 == "”" }.count == 2)
        // The keys and who asks are there in the narrowest window.
        #expect(String(line.prefix(60)).contains("y yes · n no  cy asks to type"))
    }

    @Test func newCodesAreAskedForWhereTheCodesAreShown() {
        var menu = Menu(role: .host, codes: ["to type along:  postern join X"])
        #expect(menu.sort(bytes("\u{1D}cn"), people: []).actions == [.draw, .renewCodes] && menu.page == .codes)
        menu.codes = ["to type along:  postern join Y"]
        #expect(menu.lines(people: []).contains { $0.contains("postern join Y") })
        // Elsewhere it is a key as any other.
        var guest = Menu(role: .guest)
        #expect(guest.sort(bytes("\u{1D}n"), people: []).actions == [.draw] && !guest.isOpen)
    }

    @Test func theCodesCanBeSeenAgain() {
        var menu = Menu(role: .host, codes: ["to type along:  postern join X"])
        #expect(menu.sort(bytes("\u{1D}c"), people: []).actions == [.draw] && menu.page == .codes)
        #expect(
            menu.lines(people: []) == [
                "postern  how to join:", "  to type along:  postern join X",
                "n new codes, and these stop working for others · any other key: back",
            ])
        #expect(menu.sort(bytes("x"), people: []).actions == [.draw] && !menu.isOpen)
    }

    /// Names are as wide as a terminal draws them: nothing is pushed beyond the window, and every line is whole to its last column.
    @Test func namesAreMeasuredInColumns() {
        var screen = Screen(rows: 3, columns: 20)
        screen.feed(Array("\u{1B}[2J\u{1B}[3;1H12345678901234567890".utf8))
        screen.feed(Overlay.draw(["  1  猫猫猫猫猫猫猫猫猫 · types"], rows: 3, columns: 20))
        // Seven characters of two columns fit behind the five; the last column is cleared.
        #expect(screen.text[2] == "  1  猫猫猫猫猫猫猫")
        #expect(screen.text[0].isEmpty && screen.text[1].isEmpty && screen.scrolledLines == 0)
        #expect(TextColumns.of("e\u{301}猫👩") == 5 && TextColumns.fitted("猫猫", 3) == "猫")
    }

    @Test func aShareThatHasEndedIsNotOfferedAgain() {
        var menu = Menu(role: .host)
        menu.isShared = false
        for key in "lkce".utf8 {
            menu.open()
            #expect(
                menu.lines(people: []) == ["postern  no longer shared · Ctrl-] type Ctrl-] · any other key: back"])
            #expect(menu.key(key, people: []) == .draw && !menu.isOpen)
        }
    }
}
