import Model
import NIOCore
import SessionHost
import Terminal
import Wire

/// The host's own terminal, or the JSON lines that replace it.
final class HostDisplay {
    enum Key {
        case type([UInt8])
        case kick(peerId: String)
        case renewCodes
        case end
        case decide(peerId: String, admit: Bool)
    }

    /// How long the title shows that somebody types.
    private static let typingShown = TimeAmount.seconds(2)

    private let interactive: Bool
    private let json: Bool
    private let loop: any EventLoop
    private let output: OutputStream
    private var input: InputStream?
    private var menu: Menu
    private var wasOpen = false
    private var typist: String?
    private var people: [Menu.Person] = []

    /// - Parameter codes: how to join, a line for each code: programs that clear the screen hide the banner.
    init(interactive: Bool, json: Bool, codes: [String], loop: any EventLoop) {
        menu = Menu(role: .host, codes: codes)
        self.interactive = interactive
        self.json = json
        self.loop = loop
        output = OutputStream(descriptor: 1, loop: loop)
    }

    /// Shows how to join. Programs get it on standard output, people too, or on standard error if the output is a pipe.
    func open(banner: String) {
        if json { return Descriptors.writeAll(Array("\(banner)\n".utf8), to: 1) }
        // The screen is cleared because the guests' rows are counted from its top.
        Descriptors.writeAll(Array((interactive ? "\u{1B}[H\u{1B}[2J\(banner)" : banner).utf8), to: interactive ? 1 : 2)
    }

    /// - Parameter onTyped: called with what the person types.
    func start(onTyped: @escaping ([UInt8]) -> Void) throws(ClientError) {
        if json { return }
        if interactive { try LocalTerminal.enterRawMode() }
        output.start().whenFailure { _ in }
        let input = InputStream(descriptor: 0, loop: loop) { bytes in if let bytes { onTyped(bytes) } }
        self.input = input
        input.start()
        // Saves the terminal's own title, which is restored at the end.
        if interactive { write(Array("\u{1B}[22;2t".utf8)) }
    }

    /// Pauses or resumes reading of a pipe or a file, depending on what the command accepts. A terminal is always read,
    /// because its person may open the menu.
    func setReading(_ reading: Bool) { input?.setReading(reading || interactive) }

    func show(_ bytes: [UInt8], screen: Screen) {
        // While the menu is open, the screen is not shown. It is redrawn when the menu closes.
        if !json && !menu.isOpen { write(bytes) }
    }

    func close(status: Int32) {
        if json { return Descriptors.writeAll(Array("\(ShareOutput.event("exited", status: status))\n".utf8), to: 1) }
        guard interactive else { return }
        Descriptors.writeAll(Array("\u{1B}[23;2t\u{1B}[0m".utf8), to: 1)
        LocalTerminal.leaveRawMode()
        Descriptors.writeAll(Array("The share has ended.\r\n".utf8), to: 1)
    }

    /// Shows that the connection to the server is lost or restored.
    func connection(isLost: Bool) {
        if json {
            let event = isLost ? "disconnected" : "reconnected"
            Descriptors.writeAll(Array("\(ShareOutput.event(event))\n".utf8), to: 1)
        } else if interactive {
            setTitle(isLost ? "postern: the connection was lost; guests see no new output" : "postern: connected again")
        } else {
            say(isLost ? "the connection was lost; reconnecting" : "connected again")
        }
    }

    /// The command has ended, and a guest of a lossless share has not confirmed that it has everything.
    func endUnconfirmed() {
        if json {
            let message = "not every guest has confirmed the end"
            Descriptors.writeAll(Array("\(ShareOutput.event("end_unconfirmed", message: message))\n".utf8), to: 1)
        } else {
            say("not every guest has confirmed the end; its output may be incomplete")
        }
    }

    func sharingEnded(_ reason: String, screen: Screen) {
        menu.isShared = false
        if json {
            Descriptors.writeAll(Array("\(ShareOutput.event("sharing_ended", message: reason))\n".utf8), to: 1)
        } else if interactive {
            setTitle("postern: no longer shared (\(reason))")
        } else {
            say("no longer shared: \(reason)")
        }
    }

    func notify(_ notice: HostNotice, screen: Screen, people: [Menu.Person]) {
        if json { return Descriptors.writeAll(Array("\(ShareOutput.json(notice))\n".utf8), to: 1) }
        guard interactive else {
            if case .typing = notice { return }
            return say(ShareOutput.sentence(notice))
        }
        switch notice {
        case .guestAsks(let peerId, let account, let name, let permission):
            menu.ask(
                peerId: peerId, account: account ?? ShareOutput.withoutAccount, name: name,
                canType: permission == .control)
        case .guestLeft(let peerId, _): menu.forget(peerId: peerId)
        case .typing(_, let name): return showTyping(name)
        default: break
        }
        setTitle("postern: \(ShareOutput.sentence(notice))")
        refresh(screen: screen, people: people)
    }

    // MARK: Keys

    func keys(_ bytes: [UInt8], people: [Menu.Person]) -> [Key] {
        guard interactive else { return [.type(bytes)] }
        let (typed, actions) = menu.sort(bytes, people: people)
        let keys = actions.compactMap { action -> Key? in
            switch action {
            case .kick(let peerId): .kick(peerId: peerId)
            case .renewCodes: .renewCodes
            case .end: .end
            case .decide(let peerId, let admit): .decide(peerId: peerId, admit: admit)
            case .none, .draw, .leave, .typePrefix: nil
            }
        }
        return (typed.isEmpty ? [] : [.type(typed)]) + keys
    }

    /// Shows how to join now: a line for each code, or the error.
    func codes(_ lines: [String], screen: Screen, people: [Menu.Person]) {
        menu.codes = lines
        refresh(screen: screen, people: people)
    }

    /// Draws the menu if it is open, and redraws the screen if the menu was just closed.
    func refresh(screen: Screen, people: [Menu.Person]) {
        self.people = people
        guard interactive else { return }
        if menu.isOpen {
            if wasOpen { write(screen.snapshot(scrollback: false)) }
            write(Overlay.draw(menu.lines(people: people), rows: screen.rows, columns: screen.columns))
        } else if wasOpen {
            write(screen.snapshot(scrollback: false))
        }
        wasOpen = menu.isOpen
    }

    private func showTyping(_ name: String) {
        guard typist != name else { return }
        typist = name
        setTitle("postern: \(name) is typing")
        loop.assumeIsolated().scheduleTask(in: Self.typingShown) {
            self.typist = nil
            let count = self.people.count
            self.setTitle("postern: shared with \(count) \(count == 1 ? "guest" : "guests")")
        }
    }

    private func setTitle(_ title: TerminalText) { write(Array("\u{1B}]2;\(title.text)\u{07}".utf8)) }

    private func say(_ line: TerminalText) { Descriptors.writeAll(Array("postern: \(line.text)\n".utf8), to: 2) }

    private func write(_ bytes: [UInt8]) { output.write(bytes).whenFailure { _ in } }
}
