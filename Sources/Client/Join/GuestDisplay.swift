import Glibc
import Model
import NIOCore
import SessionHost
import Terminal

/// The guest's own terminal, or a pipe that gets the host's output unchanged.
final class GuestDisplay {
    enum Key {
        case type([UInt8])
        case leave
    }

    let isInteractive: Bool
    private let loop: any EventLoop
    private let output: OutputStream
    private var input: InputStream?
    private var isReading = true
    private var progress: UInt64?
    private var isRaw = false
    private var menu = Menu(role: .guest)
    private var answers = TerminalAnswers()
    /// Nil if the guest lets the session set their clipboard.
    private var clipboard: ClipboardFilter?
    private var notice: String?
    private var wasCovered = false
    /// The host's screen; nil until its first snapshot.
    private var screen: Screen?
    /// Set while the host's window differs in size from this terminal. The screen is then drawn instead of passed
    /// through.
    private var view: FramedView?
    private var needsDrawing = false
    private var hostTitle = ""

    /// - Parameter takesClipboard: whether programs in the session may set this terminal's clipboard.
    init(interactive: Bool, takesClipboard: Bool, loop: any EventLoop) {
        clipboard = takesClipboard ? nil : ClipboardFilter()
        isInteractive = interactive
        self.loop = loop
        output = OutputStream(descriptor: 1, loop: loop)
    }

    func startOutput() { output.start().whenFailure { _ in } }

    /// Enters raw mode and starts reading keys. A second call does nothing.
    func startInput(canType: Bool, _ onBytes: @escaping ([UInt8]?) -> Void) -> ClientError? {
        guard !isRaw else { return nil }
        isRaw = true
        if isInteractive {
            do { try LocalTerminal.enterRawMode() } catch { return error }
        } else if !canType {
            return nil
        }
        let input = InputStream(descriptor: 0, loop: loop, onBytes: onBytes)
        self.input = input
        input.setReading(isReading)
        input.start()
        return nil
    }

    /// Pauses or resumes reading of the terminal, pipe or file.
    func setReading(_ reading: Bool) {
        isReading = reading
        input?.setReading(reading)
    }

    /// Shows how much of a long input has arrived so far, over the screen or on one line of standard error; nil removes
    /// it.
    func showProgress(_ bytes: UInt64?) {
        guard bytes != progress else { return }
        progress = bytes
        if isInteractive && screen != nil {
            refreshOverlay()
        } else if isatty(2) == 1 {
            Descriptors.writeAll(Array(bytes.map { "\rpostern: \(Self.words($0)) sent" }?.utf8 ?? "\n".utf8), to: 2)
        }
    }

    private static func words(_ bytes: UInt64) -> String {
        bytes < 1 << 20 ? "\(bytes >> 10) KiB" : "\(bytes >> 20) MiB"
    }

    // MARK: The host's screen

    func restart(rows: Int, columns: Int) {
        guard isInteractive else { return }
        screen = Screen(rows: rows, columns: columns)
        chooseView()
    }

    func resize(rows: Int, columns: Int) {
        guard isInteractive else { return }
        screen?.resize(rows: rows, columns: columns)
        chooseView()
    }

    func terminalResized() {
        guard isInteractive, screen != nil else { return }
        chooseView()
        flush()
    }

    /// - Returns: succeeds when the bytes are written.
    func show(_ bytes: [UInt8]) -> EventLoopFuture<Void> {
        // Also if the keys come from a file: the output may still be a terminal.
        guard isInteractive else { return output.write(isatty(1) == 1 ? clipboard?.pass(bytes) ?? bytes : bytes) }
        // Also while nothing is passed through: a command may be split by the change between both modes.
        let passed = clipboard?.pass(bytes) ?? bytes
        let before = screen?.positionQueries ?? 0
        screen?.feed(bytes)
        if view != nil || isCovered {
            needsDrawing = true
            return loop.makeSucceededVoidFuture()
        }
        // A query that is passed through reaches this terminal too.
        answers.askedForPosition((screen?.positionQueries ?? 0) - before)
        return output.write(passed)
    }

    /// Called at the end of a batch. If the screen is drawn and not passed through, it is drawn once per batch.
    func flush() {
        guard needsDrawing, let screen else { return }
        needsDrawing = false
        if view != nil { write(view?.draw(screen) ?? []) }
        if isCovered { drawOverlay() }
    }

    private func chooseView() {
        guard let screen, let size = LocalTerminal.size else { return }
        if size.rows == screen.rows && size.columns == screen.columns {
            view = nil
            write(screen.snapshot())
        } else {
            view = FramedView(rows: size.rows, columns: size.columns)
            needsDrawing = true
        }
        if isCovered { needsDrawing = true }
    }

    // MARK: Overlay

    private var isCovered: Bool { menu.isOpen || notice != nil || progress != nil }

    private var noticeShown: String {
        notice ?? progress.map { "postern  sending what you typed: \(Self.words($0)) so far" } ?? ""
    }

    private func drawOverlay() {
        guard let size = LocalTerminal.size else { return }
        let lines = menu.isOpen ? menu.lines(people: []) : [noticeShown]
        write(Overlay.draw(lines, rows: size.rows, columns: size.columns))
        wasCovered = true
    }

    private func refreshOverlay() {
        guard isInteractive else { return }
        if isCovered { return drawOverlay() }
        guard wasCovered, let screen else { return }
        wasCovered = false
        if let size = LocalTerminal.size, view != nil {
            view = FramedView(rows: size.rows, columns: size.columns)
            write(view?.draw(screen) ?? [])
        } else {
            write(screen.snapshot(scrollback: false))
        }
    }

    func keys(_ bytes: [UInt8]) -> [Key] {
        guard isInteractive else { return [.type(bytes)] }
        let (typed, actions) = menu.sort(answers.filter(bytes), people: [])
        refreshOverlay()
        return (typed.isEmpty ? [] : [.type(typed)]) + actions.filter { $0 == .leave }.map { _ in .leave }
    }

    func tell(_ status: GuestStatus) {
        let line: String?
        switch status {
        case .joined(let title):
            hostTitle = title
            line = nil
            if !isInteractive { say("joined\(title.isEmpty ? "" : " “\(title)”")") }
        case .waitingForHost: line = "the host is not connected; waiting for it"
        case .waitingForApproval: line = "waiting for the host to admit you"
        case .hostAway: line = "the host is disconnected; waiting for it to reconnect"
        case .disconnected: line = "the connection was lost; reconnecting"
        case .back: line = nil
        // The snapshot is on its way, so the person need not do anything.
        case .skipped: return
        case .inputLost(let bytes):
            line = "the last \(bytes) bytes you typed did not arrive; check the screen, then press Return to continue"
        case .inputUnconfirmed: line = "the host has not confirmed what you typed"
        }
        if isInteractive && screen != nil {
            notice = line.map { "postern  \($0) · Ctrl-] l leaves" }
            refreshOverlay()
        } else if let line {
            say("\(line)")
        }
    }

    private func say(_ line: TerminalText) {
        Descriptors.writeAll(Array("postern: \(line.text)\(isRaw && isInteractive ? "\r" : "")\n".utf8), to: 2)
    }

    // MARK: Closing

    func close(_ ending: GuestEnding) -> EventLoopFuture<Void> {
        if isInteractive, let screen {
            // Moves below the host's screen, and switches off all modes that its programs had set.
            let size = LocalTerminal.size ?? (screen.rows, screen.columns)
            // A framed screen was on the alternate screen, and disappears with it.
            let below = view == nil ? "\u{1B}[\(size.rows);1H\r\n" : ""
            write(Array("\(Modes.off)\(screen.modes.coloursOff)\(below)".utf8))
        }
        return output.finish().hop(to: loop).assumeIsolated().map {
            if self.isRaw && self.isInteractive { LocalTerminal.leaveRawMode() }
            switch ending {
            case .ended(let status):
                self.say("the session has ended\(status.map { " (the command's exit status was \($0))" } ?? "")")
            case .left: self.say("you left")
            default: break
            }
        }.nonisolated()
    }

    private func write(_ bytes: [UInt8]) { if !bytes.isEmpty { output.write(bytes).whenFailure { _ in } } }
}
