import EndToEnd
import Model
import NIOCore
import SessionHost
import Terminal
import UnixSignals
import Wire

/// Carries out what ``HostEngine`` decides: the command, the local terminal and the relay connection, on one event loop.
final class ShareRunner {
    /// How long the end of the session may take to reach the server before we leave anyway.
    private static let endTimeout = TimeAmount.seconds(2)
    /// The same for a lossless share, whose last frames may have to be sent over a slow connection.
    private static let losslessEndTimeout = TimeAmount.seconds(60)
    /// Above this many bytes that wait for the command, a pipe or a file is not read.
    private static let untakenHigh = 256 << 10

    private let options: ShareOptions
    private let api: APIClient
    private let token: String
    private let loop: any EventLoop
    private let engine: HostEngine
    private let finished: EventLoopPromise<Int32>
    private let display: HostDisplay
    private var command: SharedCommand?
    private var socket: RelaySocket?
    private var backoff = Backoff()
    private var resumeToken: String?
    /// Output of the command since the last pause.
    private var burst: [UInt8] = []
    private var exitStatus: Int32?
    private var outputEnded = false
    private var isShared = true
    /// Whether the relay has answered the join and the connection is up.
    private var isSeated = false
    private var isDone = false
    /// Whether the person was told that the connection is lost.
    private var isConnectionLost = false
    /// Whether a signal asked for the end.
    private var isHurried = false
    private var isRenewingCodes = false
    /// Bytes typed here that the command's terminal has not taken.
    private var untaken = 0

    init(
        options: ShareOptions, sessionId: String, codes: [CodeSecrets], api: APIClient, token: String,
        interactive: Bool,
        loop: any EventLoop
    ) {
        self.options = options
        self.api = api
        self.token = token
        self.loop = loop
        let size = LocalTerminal.sizeOrStandard
        engine = HostEngine(
            sessionId: sessionId, codes: codes,
            options: .init(title: options.title, approve: options.approve, lossless: options.lossless),
            rows: size.rows, columns: size.columns)
        finished = loop.makePromise(of: Int32.self)
        display = HostDisplay(
            interactive: interactive, json: options.json, codes: ShareOutput.joining(codes, server: api.address),
            loop: loop)
        let server = api.address
        let banner =
            options.json
            ? ShareOutput.opening(sessionId: sessionId, codes: codes, server: server)
            : ShareOutput.banner(options, codes: codes, server: server)
        display.open(banner: banner)
        if interactive { engine.reserveLines(for: banner) }
    }

    func start() -> EventLoopFuture<Int32> {
        do {
            try display.start { self.typedHere($0) }
            let size = engine.screen
            let command = try SharedCommand(
                options.command, rows: size.rows, columns: size.columns,
                codes: engine.codes.keys.map(\.description) + [engine.sessionId],
                loop: loop,
                onOutput: { self.output($0) }, onPause: { self.outputPaused() })
            self.command = command
            command.wait().hop(to: loop).assumeIsolated().whenComplete { result in
                self.exitStatus = (try? result.get()) ?? 1
                self.finishIfOver()
                self.drain()
            }
            connect()
            trapSignals()
        } catch {
            finished.fail(error)
        }
        return finished.futureResult
    }

    // MARK: The command

    private func output(_ bytes: [UInt8]?) {
        guard let bytes else {
            outputEnded = true
            outputPaused()
            return finishIfOver()
        }
        burst += bytes
    }

    private func outputPaused() {
        guard !burst.isEmpty else { return }
        let bytes = burst
        burst.removeAll(keepingCapacity: true)
        let actions = engine.output(bytes) + engine.outputPaused()
        display.show(bytes, screen: engine.screen)
        carryOut(actions)
    }

    /// A child that the command left behind may keep the terminal open. Its output is not waited for. The output of the
    /// command itself is, even if slow guests take long.
    private func drain() {
        loop.assumeIsolated().scheduleTask(in: Self.endTimeout) {
            guard self.engine.isReading || !self.isShared || self.isHurried else { return self.drain() }
            self.outputEnded = true
            self.finishIfOver()
        }
    }

    private func finishIfOver() {
        guard let status = exitStatus, outputEnded, !isDone else { return }
        isDone = true
        // A lossless share also waits for its connection: its guests still need the end.
        if isShared, isSeated || options.lossless && !isHurried {
            carryOut(engine.exited(status: status))
            // Without a connection and without a guest that waits for the end, there is nobody to tell.
            if !isSeated && !engine.awaitsConfirmation { return leave(status, told: false) }
            // After a signal, the host does not wait for guests that may return.
            if isHurried && engine.awaitsConfirmation { carryOut([.text(ClientMessageText(type: "endSession"))]) }
            let patience = options.lossless ? Self.losslessEndTimeout : Self.endTimeout
            loop.assumeIsolated().scheduleTask(in: patience) { self.leave(status, told: false) }
        } else {
            leave(status, told: !isShared)
        }
    }

    /// - Parameter told: whether the server knows that the session is over.
    private func leave(_ status: Int32, told: Bool) {
        guard let finished = takeFinished() else { return }
        // With --lossless, every guest gets every byte; otherwise the exit status reports a possible loss.
        let isIncomplete = isDone && engine.awaitsConfirmation
        if isIncomplete { display.endUnconfirmed() }
        let status = isIncomplete && status == 0 ? 1 : status
        socket?.abandon()
        socket = nil
        display.close(status: status)
        if told { return finished.succeed(status) }
        let (api, id) = (self.api, engine.sessionId)
        finished.completeWithTask {
            // The server ends the session by itself if the host does not return; this only does it sooner.
            do { try await api.endSession(id: id) } catch {}
            return status
        }
    }

    private var isLeaving = false

    private func takeFinished() -> EventLoopPromise<Int32>? {
        defer { isLeaving = true }
        return isLeaving ? nil : finished
    }

    // MARK: The relay

    private func connect() {
        guard isShared, !isLeaving else { return }
        socket = RelaySocket(address: api.address, loop: loop) { self.handle($0) }
    }

    private func handle(_ event: RelayEvent) {
        switch event {
        case .opened: join()
        case .text(let message): received(message)
        case .binary(let frame): carryOut(engine.received(frame))
        case .readComplete: socket?.flush()
        case .writable(let writable): carryOut(engine.uplink(takesMore: writable))
        case .untrusted(let reason): untrusted(reason)
        case .closed(let code, let reason): closed(code, reason)
        }
    }

    private func join() {
        let type = resumeToken == nil ? "joinAsHost" : "resume"
        var message = ClientMessageText(type: type)
        message.id = .text(type)
        message.binary = true
        if let resumeToken {
            message.resumeToken = resumeToken
        } else {
            message.token = token
            message.sessionId = engine.sessionId
        }
        socket?.send(message)
        socket?.flush()
    }

    private func received(_ message: ServerMessage) {
        switch (message.type, message.id) {
        case (.ack, .text("joinAsHost")):
            guard message.success == true else { return sharingEnded(message.error ?? "the server refused") }
            resumeToken = message.resumeToken
            seated()
            carryOut(engine.connected(fromSequence: nil))
        case (.ack, .text("resume")):
            guard message.success == true else {
                resumeToken = nil
                return join()
            }
            seated()
            carryOut(engine.connected(fromSequence: message.fromSequence))
        case (.sessionEnded, _):
            isShared = false
            if isDone { return leave(exitStatus ?? 0, told: true) }
            sharingEnded(
                message.reason == "host_ended"
                    ? "you ended it" : "the server ended it (\(message.reason ?? "no reason given"))")
        default: carryOut(engine.received(message))
        }
    }

    private func seated() {
        backoff.reset()
        isSeated = true
        if isConnectionLost { display.connection(isLost: false) }
        isConnectionLost = false
    }

    private func untrusted(_ reason: String) {
        socket = nil
        if isDone { return leave(exitStatus ?? 0, told: false) }
        sharingEnded(reason)
    }

    private func closed(_ code: UInt16?, _ reason: String) {
        socket = nil
        // Shown once and not for every reconnect attempt, and also if the first attempt failed.
        if isShared, !isDone, !isConnectionLost {
            isConnectionLost = true
            display.connection(isLost: true)
        }
        isSeated = false
        carryOut(engine.disconnected())
        guard isShared else { return }
        if isDone, isHurried || !options.lossless { return leave(exitStatus ?? 0, told: false) }
        if code == CloseCode.replaced || code == CloseCode.badMessage { return sharingEnded(reason) }
        loop.assumeIsolated().scheduleTask(in: backoff.next()) { self.connect() }
    }

    /// Ends the sharing locally, even if the messages cannot be delivered.
    private func endSharing() {
        guard isShared else { return }
        carryOut(engine.stopped())
        let (api, id) = (self.api, engine.sessionId)
        // Also without a connection; ending a session twice has no effect. Delayed, so that the signed last message
        // goes through the relay first.
        loop.assumeIsolated().scheduleTask(in: Self.endTimeout) {
            Task { do { try await api.endSession(id: id) } catch {} }
        }
        sharingEnded("you ended it")
    }

    /// The command continues: somebody may have unsaved work in it.
    private func sharingEnded(_ reason: String) {
        isShared = false
        if isDone { return leave(exitStatus ?? 0, told: false) }
        socket?.close()
        socket = nil
        carryOut(engine.disconnected() + [.pace(reading: true)])
        display.sharingEnded(reason, screen: engine.screen)
    }

    // MARK: The person at this terminal

    private func typedHere(_ bytes: [UInt8]) {
        for action in display.keys(bytes, people: people) {
            switch action {
            case .type(let typed): type(typed)
            case .kick(let peerId): carryOut(engine.kick(peerId))
            case .renewCodes: renewCodes()
            case .end: endSharing()
            case .decide(let peerId, let admit): carryOut(engine.decide(peerId: peerId, admit: admit))
            }
        }
        display.refresh(screen: engine.screen, people: people)
    }

    /// Types into the command, and pauses reading of a pipe or a file while much input is queued.
    private func type(_ bytes: [UInt8]) {
        untaken += bytes.count
        display.setReading(untaken < Self.untakenHigh)
        command?.type(bytes).hop(to: loop).assumeIsolated().whenComplete { _ in
            self.untaken -= bytes.count
            self.display.setReading(self.untaken < Self.untakenHigh)
        }
    }

    /// Replaces the current codes, for example because a code died or too many people know it. Guests that have joined
    /// stay.
    private func renewCodes() {
        guard isShared else { return display.codes(["no longer shared"], screen: engine.screen, people: people) }
        if isRenewingCodes { return }
        isRenewingCodes = true
        let (api, options, sessionId, old) = (self.api, self.options, engine.sessionId, Array(engine.codes.keys))
        let made = loop.makePromise(of: [CodeSecrets].self)
        made.completeWithTask {
            // The old codes are revoked first: the plan may not allow more codes than there are.
            for code in old { try await api.revoke(code: code) }
            return try await Share.makeCodes(options, sessionId: sessionId, api)
        }
        made.futureResult.assumeIsolated().whenComplete { result in
            self.isRenewingCodes = false
            let lines: [String]
            switch result {
            case .success(let codes):
                self.engine.replaceCodes(codes)
                lines = ShareOutput.joining(codes, server: self.api.address)
            case .failure(let error):
                lines = ["cannot create new codes: \((error as? ClientError)?.message.text ?? describe(error))"]
            }
            self.display.codes(lines, screen: self.engine.screen, people: self.people)
        }
    }

    private var people: [Menu.Person] {
        engine.people.map {
            Menu.Person(
                peerId: $0.peerId, name: $0.title, canType: $0.permission == .control, isConnected: $0.isConnected)
        }
    }

    private func trapSignals() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let loop = self.loop
        Task {
            for await signal in await UnixSignalsSequence(trapping: .sigwinch, .sigterm, .sighup, .sigint) {
                loop.execute { bound.value.signalled(signal) }
            }
        }
    }

    private func signalled(_ signal: UnixSignal) {
        guard signal == .sigwinch else {
            // Ends the command as a closed terminal window would, and the share with it.
            isHurried = true
            // The command has ended, and only guests are waited for.
            if isDone && options.lossless { return leave(exitStatus ?? 0, told: false) }
            command?.hangUp()
            return
        }
        guard let size = LocalTerminal.size else { return }
        command?.resize(rows: size.rows, columns: size.columns)
        carryOut(engine.resized(rows: size.rows, columns: size.columns))
        display.refresh(screen: engine.screen, people: people)
    }

    /// Confirms input to the guest once the terminal has accepted it. This slows down guests that paste faster than the
    /// command reads.
    private func type(_ bytes: [UInt8], _ receipt: HostEngine.InputReceipt) {
        command?.type(bytes).hop(to: loop).assumeIsolated().whenSuccess { self.carryOut(self.engine.taken(receipt)) }
    }

    // MARK: Actions

    private func carryOut(_ actions: [HostEngine.Action]) {
        for action in actions {
            switch action {
            case .text(let message): socket?.send(message)
            case .frame(let frame): socket?.send(frame)
            case .type(let bytes, let receipt): type(bytes, receipt)
            case .pace(let reading): command?.setReading(reading)
            case .notify(let notice): display.notify(notice, screen: engine.screen, people: people)
            case .start(let timer, let milliseconds):
                loop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) {
                    self.carryOut(self.engine.fired(timer))
                }
            case .revoke(let code):
                let api = self.api
                // From now on the host itself refuses the code. The server's refusal only gives a better message.
                Task { do { try await api.revoke(code: code) } catch {} }
            }
        }
        socket?.flush()
    }
}
