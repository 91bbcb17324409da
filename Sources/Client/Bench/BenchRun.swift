import Model
import NIOCore
import Wire

/// A host and a guest of the same session in one process, so that both ends use the same clock. Confined to one event
/// loop.
///
/// The payload is not encrypted: the relay does not look at it.
final class BenchRun {
    /// The pause between an echo and the next keystroke, and the maximum number of keystrokes, within five seconds.
    private static let keyPause = TimeAmount.milliseconds(20)
    private static let keystrokes = 200
    private static let echoTime = TimeAmount.seconds(5)
    /// Size of the messages, bytes in flight (half of the relay's ring), and duration.
    private static let bulkBytes = 16 << 10
    private static let bulkWindow = 1 << 20
    private static let bulkTime = TimeAmount.seconds(5)
    /// 200 messages of 1 KiB per second, like a busy terminal. The guest's connection is down for half a second in the
    /// middle.
    private static let dropPause = TimeAmount.milliseconds(5)
    private static let dropBytes = 1 << 10
    private static let messages = 600
    private static let cutAfter = 200
    private static let away = TimeAmount.milliseconds(500)
    /// A step that takes longer than this fails.
    private static let patience = TimeAmount.seconds(20)

    private let address: ServerAddress
    private let token: String
    private let sessionId: String
    private let code: String
    private let loop: any EventLoop
    private let onStep: @Sendable (Bench.Step) -> Void
    private let done: EventLoopPromise<Bench.Report>
    private var report = Bench.Report()
    private var step: Bench.Step?
    private var stepNumber = 0
    private var isDone = false
    private var host: RelaySocket?
    private var guest: RelaySocket?
    private var resumeToken: String?
    private var sequence: UInt64 = 0
    private var heard: UInt64 = 0
    private var echoes: [Double] = []
    private var received = 0
    private var underWay = 0
    private var stepBegan = NIODeadline.now()
    private var returnedAt: NIODeadline?

    init(
        address: ServerAddress, token: String, sessionId: String, code: String, loop: any EventLoop,
        onStep: @escaping @Sendable (Bench.Step) -> Void
    ) {
        self.address = address
        self.token = token
        self.sessionId = sessionId
        self.code = code
        self.loop = loop
        self.onStep = onStep
        done = loop.makePromise(of: Bench.Report.self)
    }

    func start() -> EventLoopFuture<Bench.Report> {
        host = RelaySocket(address: address, loop: loop) { self.handleHost($0) }
        giveUpLater("joining")
        return done.futureResult
    }

    func fail(_ error: ClientError) {
        guard !isDone else { return }
        isDone = true
        close()
        done.fail(error)
    }

    private func finish() {
        guard !isDone else { return }
        isDone = true
        close()
        done.succeed(report)
    }

    private func close() {
        guest?.close()
        host?.close()
    }

    private func giveUpLater(_ what: String) {
        stepNumber += 1
        let number = stepNumber
        loop.assumeIsolated().scheduleTask(in: Self.patience) {
            guard number == self.stepNumber else { return }
            let seconds = Self.patience.nanoseconds / 1_000_000_000
            self.fail(
                ClientError(
                    "\(what) did not complete within \(seconds) s; try again on a better connection", status: .tryAgain)
            )
        }
    }

    private func after(_ time: TimeAmount, _ body: @escaping () -> Void) {
        loop.assumeIsolated().scheduleTask(in: time) { if !self.isDone { body() } }
    }

    // MARK: The host

    private func handleHost(_ event: RelayEvent) {
        switch event {
        case .opened:
            var join = ClientMessageText(type: "joinAsHost")
            join.token = token
            join.sessionId = sessionId
            join.binary = true
            host?.send(join)
        case .text(let message) where message.type == .ack:
            guard message.success == true else { return refused(message) }
            guest = RelaySocket(address: address, loop: loop) { self.handleGuest($0) }
        case .text(let message) where message.type == .guestJoined:
            guard let slot = message.slot else { return }
            // A guest receives broadcasts only after the host has sent it a snapshot.
            host?.send(frame(.snapshot, slot, 0, ByteBuffer()))
            host?.flush()
        case .binary(let frame):
            var echo = frame
            echo.moveReaderIndex(forwardBy: FrameHeader.size)
            broadcast(echo)
        case .writable(true): pump()
        case .closed(_, let reason): fail(ClientError("the host's connection ended: \(reason)", status: .tryAgain))
        case .untrusted(let reason): fail(ClientError("\(reason)"))
        case .text, .writable, .readComplete: break
        }
    }

    private func broadcast(_ payload: ByteBuffer) {
        sequence += 1
        host?.send(frame(.broadcast, FrameHeader.hostSlot, sequence, payload))
        host?.flush()
    }

    private func frame(_ kind: FrameKind, _ slot: Slot, _ sequence: UInt64, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBufferAllocator().buffer(capacity: FrameHeader.size + payload.readableBytes)
        FrameHeader(kind: kind, slot: slot, epoch: 1, sequence: sequence).write(into: &frame)
        frame.writeImmutableBuffer(payload)
        return frame
    }

    private func refused(_ ack: ServerMessage) { fail(ClientError("\(ack.error ?? "the server refused")")) }

    // MARK: The guest

    private func handleGuest(_ event: RelayEvent) {
        switch event {
        case .opened: enter()
        case .text(let message) where message.type == .ack:
            guard message.success == true else { return refused(message) }
            resumeToken = message.resumeToken ?? resumeToken
        case .text(let message) where message.type == .warning:
            fail(ClientError("the server skipped messages for a guest that is too slow: \(message.message ?? "")"))
        case .binary(let frame): hear(frame)
        case .closed(_, let reason): fail(ClientError("the guest's connection ended: \(reason)", status: .tryAgain))
        case .untrusted(let reason): fail(ClientError("\(reason)"))
        case .text, .writable, .readComplete: break
        }
    }

    private func enter() {
        var message = ClientMessageText(type: resumeToken == nil ? "joinAsGuest" : "resume")
        message.binary = true
        if let resumeToken {
            message.resumeToken = resumeToken
            message.lastSequence = heard
        } else {
            message.token = token
            message.code = code
            message.guestPublicKey = "bench"
        }
        guest?.send(message)
    }

    private func hear(_ frame: ByteBuffer) {
        guard let header = try? FrameHeader(peeking: frame) else { return }
        if header.kind == .snapshot { return begin(.echo) }
        if header.sequence <= heard { report.repeated += 1 } else { report.lost += Int(header.sequence - heard) - 1 }
        heard = max(heard, header.sequence)
        switch step {
        case .echo: echoed(frame)
        case .bulk:
            received += frame.readableBytes
            underWay -= frame.readableBytes
            pump()
        case .drop: caughtUp()
        case nil: break
        }
    }

    // MARK: Steps

    private func begin(_ step: Bench.Step) {
        self.step = step
        stepBegan = .now()
        giveUpLater(step.rawValue)
        onStep(step)
        switch step {
        case .echo: press()
        case .bulk:
            pump()
            after(Self.bulkTime) { self.endBulk() }
        case .drop: say(0)
        }
    }

    private func press() {
        var key = ByteBuffer()
        key.writeInteger(NIODeadline.now().uptimeNanoseconds)
        guest?.send(frame(.input, 0, UInt64(echoes.count) + 1, key))
        guest?.flush()
    }

    private func echoed(_ frame: ByteBuffer) {
        guard let sent = frame.getInteger(at: frame.readerIndex + FrameHeader.size, as: UInt64.self) else { return }
        echoes.append(Double(NIODeadline.now().uptimeNanoseconds - sent) / 1e6)
        guard echoes.count < Self.keystrokes, .now() - stepBegan < Self.echoTime else {
            echoes.sort()
            report.keystrokes = echoes.count
            report.echoP50 = echoes[echoes.count / 2]
            report.echoP99 = echoes[echoes.count * 99 / 100]
            return begin(.bulk)
        }
        after(Self.keyPause) { self.press() }
    }

    private func pump() {
        guard step == .bulk, !isDone else { return }
        let filler = ByteBuffer(repeating: 7, count: Self.bulkBytes)
        while underWay < Self.bulkWindow, host?.isWritable == true {
            underWay += Self.bulkBytes + FrameHeader.size
            broadcast(filler)
        }
    }

    private func endBulk() {
        let seconds = Double((NIODeadline.now() - stepBegan).nanoseconds) / 1e9
        report.bytesPerSecond = Int(Double(received) / seconds)
        step = nil
        drain()
    }

    /// Messages that are still in flight belong to no step.
    private func drain() {
        if heard == sequence { begin(.drop) } else { after(Self.keyPause) { self.drain() } }
    }

    private func say(_ number: Int) {
        guard number < Self.messages else { return }
        broadcast(ByteBuffer(repeating: 7, count: Self.dropBytes))
        report.messages = number + 1
        if number == Self.cutAfter {
            guest?.abandon()
            after(Self.away) {
                self.returnedAt = .now()
                self.guest = RelaySocket(address: self.address, loop: self.loop) { self.handleGuest($0) }
            }
        }
        after(Self.dropPause) { self.say(number + 1) }
    }

    private func caughtUp() {
        guard heard == sequence else { return }
        if let returnedAt, report.caughtUpAfter == 0 {
            report.caughtUpAfter = Double((NIODeadline.now() - returnedAt).nanoseconds) / 1e6
        }
        if report.messages == Self.messages { finish() }
    }
}
