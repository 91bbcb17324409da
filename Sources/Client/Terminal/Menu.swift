import Model
import Terminal

/// The menu that `Ctrl-]` opens: one or a few lines over the bottom of the screen, and the meaning of the keys while it
/// is shown.
struct Menu {
    /// `Ctrl-]`, as in telnet.
    static let prefix: UInt8 = 0x1D

    enum Role { case host, guest }

    enum Page: Equatable {
        case closed
        case main
        case list
        case kick
        case confirmEnd
        /// How to join.
        case codes
        /// A guest asks to be admitted.
        case approve(peerId: String, account: String, name: String?, canType: Bool)
    }

    enum Action: Equatable {
        case none
        /// The page changed or was closed: redraw.
        case draw
        case typePrefix
        case kick(peerId: String)
        /// Replace the codes with new ones.
        case renewCodes
        case end
        case leave
        case decide(peerId: String, admit: Bool)
    }

    struct Person: Equatable {
        let peerId: String
        let name: String
        let canType: Bool
        let isConnected: Bool
    }

    /// Maximum number of people on a page: one digit each.
    private static let listed = 9

    let role: Role
    /// How to join, for a host: a line for each code.
    var codes: [String]
    /// False for a host that has ended the sharing: there is nobody to list or remove.
    var isShared = true
    private(set) var page = Page.closed
    private var asking: [Page] = []
    private var keys = TypedKeys()

    /// - Parameter codes: how to join, for a host: a line for each code.
    init(role: Role, codes: [String] = []) {
        self.role = role
        self.codes = codes
    }

    var isOpen: Bool { page != .closed }

    mutating func open() { page = .main }

    /// A guest asks. The question is shown at once, or after the current page.
    mutating func ask(peerId: String, account: String, name: String?, canType: Bool) {
        let question = Page.approve(peerId: peerId, account: account, name: name, canType: canType)
        if isOpen { asking.append(question) } else { page = question }
    }

    mutating func forget(peerId: String) {
        asking.removeAll { if case .approve(peerId, _, _, _) = $0 { true } else { false } }
        if case .approve(peerId, _, _, _) = page { close() }
    }

    private mutating func close() { page = asking.isEmpty ? .closed : asking.removeFirst() }

    /// Separates input for the session from input for the menu, and keeps the order of each.
    mutating func sort(_ bytes: [UInt8], people: [Person]) -> (typed: [UInt8], actions: [Action]) {
        var (typed, actions) = ([UInt8](), [Action]())
        for one in keys.take(bytes) {
            let (code, spelling): (UInt8, [UInt8])
            switch one {
            case .byte(let byte): (code, spelling) = (byte, [byte])
            case .encoded(let byte, let text): (code, spelling) = (byte, text)
            case .release(let text):
                // The release of a key that the menu has taken is not passed on.
                if !isOpen { typed += text }
                continue
            }
            if isOpen {
                let action = key(code, people: people)
                if action == .typePrefix { typed += spelling } else { actions.append(action) }
            } else if code == Self.prefix {
                open()
            } else {
                typed += spelling
            }
        }
        return (typed, actions)
    }

    /// Handles a key while a page is shown.
    mutating func key(_ byte: UInt8, people: [Person]) -> Action {
        switch (page, Character(UnicodeScalar(byte))) {
        case (.approve(let peerId, _, _, _), let key) where "yYnN".contains(key):
            close()
            return .decide(peerId: peerId, admit: key == "y" || key == "Y")
        case (.approve, _), (.closed, _): return .none
        case (.main, _) where byte == Self.prefix:
            close()
            return .typePrefix
        case (.main, "l") where role == .host && isShared: page = .list
        case (.main, "c") where role == .host && isShared: page = .codes
        case (.codes, "n"):
            codes = ["creating new codes …"]
            return .renewCodes
        case (.main, "k") where role == .host && isShared: page = .kick
        case (.main, "e") where role == .host && isShared: page = .confirmEnd
        case (.main, "q") where role == .guest, (.main, "l") where role == .guest:
            close()
            return .leave
        case (.kick, let key):
            let chosen = key.wholeNumberValue.flatMap { $0 >= 1 && $0 <= people.count ? people[$0 - 1] : nil }
            close()
            if let chosen { return .kick(peerId: chosen.peerId) }
        case (.confirmEnd, let key):
            close()
            if key == "y" || key == "Y" { return .end }
        default: close()
        }
        return .draw
    }

    /// The text of the page, one string per line.
    func lines(people: [Person]) -> [String] {
        switch page {
        case .closed: []
        case .main where role == .host && !isShared:
            ["postern  no longer shared · Ctrl-] type Ctrl-] · any other key: back"]
        case .main where role == .host:
            [
                "postern  c codes · l list guests · k remove a guest · e end sharing · Ctrl-] type Ctrl-] · any other key: back"
            ]
        case .main: ["postern  l leave · Ctrl-] type Ctrl-] · any other key: back"]
        case .list: ["postern  \(people.isEmpty ? "no guests" : "guests:")"] + describe(people) + ["any key: back"]
        case .kick:
            people.isEmpty
                ? ["postern  no guests · any key: back"]
                : ["postern  remove which guest?"] + describe(people) + ["number, or any other key: back"]
        case .confirmEnd: ["postern  end sharing for everybody? The command keeps running.  y yes · any other key: no"]
        case .codes:
            ["postern  how to join:"] + codes.map { "  \($0)" } + [
                "n new codes, and these stop working for others · any other key: back"
            ]
        case .approve(_, let account, let name, let canType):
            // The keys, the account and the permission come first. The name that the guest chose is last and in quotes,
            // so that a narrow window cuts only the name.
            ["postern  admit?  y yes · n no  \(account) asks to \(canType ? "type" : "watch")\(Self.quoted(name))"]
        }
    }

    private static func quoted(_ name: String?) -> String {
        name.map { ", using the name “\($0.filter { $0 != "“" && $0 != "”" })”" } ?? ""
    }

    private func describe(_ people: [Person]) -> [String] {
        people.prefix(Self.listed).enumerated().map { index, person in
            "  \(index + 1)  \(person.name) · \(person.canType ? "types" : "watches")\(person.isConnected ? "" : " · away")"
        }
    }
}

/// Draws lines over the bottom of a terminal, in reverse video. The cursor stays where it was.
enum Overlay {
    static func draw(_ lines: [String], rows: Int, columns: Int) -> [UInt8] {
        var text = "\u{1B}7\u{1B}[?6l"
        for (index, line) in lines.suffix(rows).enumerated() {
            let row = rows - min(lines.count, rows) + index + 1
            // The last column stays empty, because writing to it could scroll. Erasing clears it as well.
            let shown = TextColumns.fitted(VisibleText.escaped(line), columns - 1)
            let padding = String(repeating: " ", count: max(0, columns - 1 - TextColumns.of(shown)))
            text += "\u{1B}[\(row);1H\u{1B}[0;7m\u{1B}[2K\(shown)\(padding)\u{1B}[0m"
        }
        return Array((text + "\u{1B}8").utf8)
    }
}
