import EndToEnd
import Model
import NIOCore
import SessionHost
import UnixSignals
import Wire

/// Carries out what ``GuestEngine`` decides: the local terminal and the relay connection, on one event loop.
final class JoinRunner {
    /// Connection attempts before giving up, while no join has succeeded.
    private static let firstAttempts = 3
    /// How long to try to reconnect before giving up: the relay keeps a host's seat for five minutes.
    private static let patience = TimeAmount.minutes(6)
    /// How long the host may take to confirm input before the person is told: far above a round trip.
    private static let confirmationTime = TimeAmount.seconds(5)
    /// Input that takes less than this is not reported; after that, progress is reported once a second.
    private static let reportDelay = TimeAmount.seconds(2)
    private static let reportInterval = TimeAmount.seconds(1)
    /// Limits of the bytes that wait for the screen. Above the high one reading pauses, below the low one it resumes.
    private static let outputHigh = 256 << 10
    private static let outputLow = 64 << 10

    private let address: ServerAddress
    private let loop: any EventLoop
    private let engine: GuestEngine
    private let display: GuestDisplay
    private let finished: EventLoopPromise<GuestEnding>
    private var socket: RelaySocket?
    private var backoff = Backoff()
    private var hasJoined = false
    private var failures = 0
    private var lostAt: NIODeadline?
    private var unwritten = 0
    private var isWatching = false
    /// Whether the person was told that the host does not confirm.
    private var isUnconfirmed = false
    /// Whether the person was told that the connection is lost or the host is away.
    private var isAway = false
    private var isReading = true
    /// Whether the engine accepts more input.
    private var takesInput = true
    private var isReporting = false
    private var isDone = false

    init(
        invitation: ShareInvitation, address: ServerAddress, token: String?, name: String, takesClipboard: Bool,
        loop: any EventLoop
    ) {
        self.address = address
        self.loop = loop
        engine = GuestEngine(invitation: invitation, token: token, name: name)
        display = GuestDisplay(
            interactive: LocalTerminal.isInteractive, takesClipboard: takesClipboard, loop: loop)
        finished = loop.makePromise(of: GuestEnding.self)
    }

    func start() -> EventLoopFuture<GuestEnding> {
        display.startOutput()
        connect()
        trapSignals()
        return finished.futureResult
    }

    // MARK: The relay

    private func connect() {
        guard !isDone else { return }
        socket = RelaySocket(address: address, loop: loop) { self.handle($0) }
    }

    private func handle(_ event: RelayEvent) {
        switch event {
        case .opened:
            // If the screen was behind before the connection dropped, it still is.
            socket?.setReading(isReading)
            carryOut(engine.opened())
        case .text(let message):
            if message.type == .ack, message.success == true { connected() }
            // The code may have been made after the shell in which this runs. The share's output would become its own
            // input, endlessly.
            if message.id == .text("join"), let session = message.sessionId, Join.isInside(session) {
                return finish(.refused("this is the terminal that is shared; join from another terminal"))
            }
            carryOut(engine.received(message))
        case .binary(let frame): carryOut(engine.received(frame))
        case .readComplete: display.flush()
        case .writable: break
        case .untrusted(let reason):
            socket = nil
            finish(.untrusted(reason))
        case .closed(let code, let reason):
            socket = nil
            failures += 1
            if !hasJoined && failures >= Self.firstAttempts {
                return finish(.unreachable("cannot reach \(address): \(reason); is the server running?"))
            }
            // Nothing was shown yet, so nothing can be lost.
            if !hasJoined && code == nil { return reconnect() }
            carryOut(engine.closed(code: code, reason: reason))
        }
    }

    private func connected() {
        hasJoined = true
        failures = 0
        lostAt = nil
        backoff.reset()
    }

    private func reconnect() {
        let since = lostAt ?? .now()
        lostAt = since
        guard NIODeadline.now() - since < Self.patience else {
            return finish(
                .unreachable("the connection to \(address) was lost; join again when the server is available"))
        }
        loop.assumeIsolated().scheduleTask(in: backoff.next()) { self.connect() }
    }

    // MARK: The person

    private func typed(_ bytes: [UInt8]?) {
        guard let bytes else { return }
        for key in display.keys(bytes) {
            switch key {
            case .type(let typed) where engine.inputIsHeld:
                // Return confirms that the person has seen the notice. None of this input is sent.
                if typed.contains(0x0D) || typed.contains(0x0A) {
                    engine.continueInput()
                    display.tell(.back)
                }
            case .type(let typed):
                carryOut(engine.typed(typed))
                watchConfirmation()
            case .leave: finish(.left)
            }
        }
    }

    // If the terminal were not read, the person could not leave with its keys. It is therefore read while input is
    // stalled. Excess input is then dropped, and the engine reports it.
    private func paceInput(_ reading: Bool) {
        takesInput = reading
        display.setReading(reading || (display.isInteractive && isStalled))
        guard !reading, !isReporting else { return }
        isReporting = true
        reportProgress(since: .now(), from: engine.confirmedInput)
    }

    /// Reports progress once a second, from the third second of an input that is longer than the queue.
    private func reportProgress(since: NIODeadline, from start: UInt64) {
        loop.assumeIsolated().scheduleTask(in: Self.reportInterval) {
            let isOver = self.engine.unconfirmedInput == 0 || self.isDone
            if isOver {
                self.isReporting = false
                self.display.showProgress(nil)
            } else {
                if NIODeadline.now() - since > Self.reportDelay {
                    self.display.showProgress(self.engine.confirmedInput - min(start, self.engine.confirmedInput))
                }
                self.reportProgress(since: since, from: start)
            }
        }
    }

    private var isStalled: Bool { isUnconfirmed || isAway }

    /// A relay can delay keystrokes for any time. This tells the person.
    private func watchConfirmation() {
        guard engine.unconfirmedInput > 0, !isWatching else { return }
        isWatching = true
        let before = engine.confirmations
        loop.assumeIsolated().scheduleTask(in: Self.confirmationTime) {
            self.isWatching = false
            if self.isDone { return }
            let hasMoved = self.engine.confirmations != before || self.engine.unconfirmedInput == 0
            if hasMoved && self.isUnconfirmed { self.tell(.back) }
            if !hasMoved && !self.isUnconfirmed && !self.isAway && self.engine.canType { self.tell(.inputUnconfirmed) }
            self.watchConfirmation()
        }
    }

    private func trapSignals() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let loop = self.loop
        Task {
            for await signal in await UnixSignalsSequence(trapping: .sigwinch, .sigterm, .sighup, .sigint) {
                loop.execute {
                    if signal == .sigwinch { bound.value.display.terminalResized() } else { bound.value.finish(.left) }
                }
            }
        }
    }

    private func finish(_ ending: GuestEnding) {
        guard !isDone else { return }
        isDone = true
        // Code 1000 frees the seat at once.
        socket?.close()
        display.close(ending).assumeIsolated().whenComplete { _ in self.finished.succeed(ending) }
    }

    // MARK: Actions

    private func carryOut(_ actions: [GuestEngine.Action]) {
        guard !isDone else { return }
        for action in actions {
            switch action {
            case .text(let message): socket?.send(message)
            case .frame(let frame): socket?.send(frame)
            case .show(let bytes): show(bytes)
            case .restart(let rows, let columns): display.restart(rows: rows, columns: columns)
            case .resize(let rows, let columns): display.resize(rows: rows, columns: columns)
            case .status(let status): tell(status)
            case .reconnect: reconnect()
            case .pace(let reading): paceInput(reading)
            case .finish(let ending): return finish(ending)
            }
        }
        socket?.flush()
    }

    private func tell(_ status: GuestStatus) {
        defer { paceInput(takesInput) }
        isUnconfirmed = status == .inputUnconfirmed
        switch status {
        case .disconnected, .hostAway, .waitingForHost: isAway = true
        case .back, .joined: isAway = false
        default: break
        }
        // A pipe has nobody who could check what is missing.
        if case .inputLost(let bytes) = status, !display.isInteractive { return finish(.inputLost(bytes: bytes)) }
        if case .joined = status {
            // Only now: until the host has proved itself, keys belong to this terminal.
            if let error = display.startInput(canType: engine.permission == .control, { self.typed($0) }) {
                return finish(.unreachable(error.message.text))
            }
        }
        // The notice about lost input stays until the person has confirmed it.
        if case .back = status, engine.inputIsHeld { return display.tell(.inputLost(bytes: engine.lostInput)) }
        display.tell(status)
    }

    private func show(_ bytes: [UInt8]) {
        unwritten += bytes.count
        display.show(bytes).hop(to: loop).assumeIsolated().whenComplete { _ in
            self.unwritten -= bytes.count
            if self.unwritten == 0 { self.carryOut(self.engine.shown()) }
            self.pace()
        }
        pace()
    }

    /// Reads no faster than the terminal (or the pipe) accepts. The relay notices this and drops what a slow guest
    /// cannot take.
    private func pace() {
        let wanted = isReading ? unwritten < Self.outputHigh : unwritten < Self.outputLow
        guard wanted != isReading else { return }
        isReading = wanted
        socket?.setReading(wanted)
    }
}
