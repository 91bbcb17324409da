import EndToEnd
import NIOCore
import NIOEmbedded
import Telemetry
import Terminal
import Testing
import WebSocket
import Wire

@testable import Client
@testable import Relay

private struct NoAuthority: RelayAuthority {
    func admitHost(token: String, sessionId: String, from address: String) async -> Result<HostAdmission, RelayRefusal>
    {
        .failure(RelayRefusal("not here", closeCode: CloseCode.notAllowed))
    }
    func admitGuest(
        token: String, code: String, publicKey: String, from address: String
    ) async -> Result<GuestAdmission, RelayRefusal> {
        .failure(RelayRefusal("not here", closeCode: CloseCode.notAllowed))
    }
    func seatGivenUp(peerId: String) async {}
    func sessionEnded(sessionId: String, reason: SessionEnd) async {}
    func relayed(bytes: Int, sessionId: String) async -> Bool { true }
}

/// A host, its guests and the real relay between them, on a loop that only moves when it is told to.
final class World {
    /// A guest as its person has it.
    final class Guest {
        let engine: GuestEngine
        let seat: StoredRoom.Seat
        let token: String
        var line: Line?
        var screen = Screen(rows: 24, columns: 80)
        var raw: [UInt8] = []
        var restarts = 0
        var typed = 0
        var wantsReconnect = false

        init(_ engine: GuestEngine, _ seat: StoredRoom.Seat, token: String) {
            self.engine = engine
            self.seat = seat
            self.token = token
        }
    }

    let lossless: Bool
    /// Of every relay that the world has had.
    let metrics = ServerMetrics()
    let host: HostEngine
    private(set) var guests: [Guest] = []
    private(set) var printed: [UInt8] = []
    /// What the host was told to type, by guest.
    private(set) var typed: [UInt8] = []
    private(set) var isReading = true
    private let sessionId = "s"
    private let codes: [CodeSecrets]
    private let hostToken: String
    private let loop = EmbeddedEventLoop()
    private var relay: RelayServer
    private(set) var hostLine: Line?
    private var timers: [HostEngine.Timer] = []
    private var isSeated = false

    init(guests count: Int, lossless: Bool) throws {
        self.lossless = lossless
        codes = [CodeSecrets(code: CodeName.random(), permission: .control)]
        host = HostEngine(
            sessionId: sessionId, codes: codes, options: .init(title: "", approve: false, lossless: lossless), rows: 24,
            columns: 80)
        hostToken = ResumeToken.make(sessionId: sessionId)
        relay = Self.relay(on: loop, lossless: lossless, metrics)
        loop.advanceTime(to: .now())
        _ = relay.expectHost(sessionId: sessionId)
        loop.run()
        let line = try Line(relay, loop)
        hostLine = line
        let admission = HostAdmission(
            sessionId: sessionId, peerId: "host", userId: "u", username: "ana", resumeToken: hostToken)
        relay.find(sessionId)?.here?.joinHost(admission, peer: enter(line), ack: .text("joinAsHost"))
        try settle()
        for number in 1...count { try join(Slot(number)) }
        try settle()
    }

    /// With bounds so narrow that a guest falls behind, and behind the ring, within a schedule. A lossless host holds its
    /// output back by a window of its own, for which the bounds are as wide as they are.
    private static func relay(
        on loop: EmbeddedEventLoop, lossless: Bool, _ metrics: ServerMetrics
    ) -> RelayServer {
        var configuration = RelayConfiguration()
        if !lossless { (configuration.ringBytes, configuration.outboxBytes) = (8 << 10, 8 << 10) }
        return RelayServer(authority: NoAuthority(), group: loop, configuration: configuration, metrics: metrics)
    }

    private func enter(_ line: Line) -> PeerHandler {
        line.handler.state = .joining
        line.handler.dialect = .frames
        return line.handler
    }

    private func join(_ slot: Slot) throws {
        let invitation = ShareInvitation(code: codes[0].code, secret: codes[0].words)
        let token = ResumeToken.make(sessionId: sessionId)
        let seat = StoredRoom.Seat(
            slot: slot, peerId: "p\(slot)", userId: "u\(slot)", username: "guest\(slot)", publicKey: "k",
            permission: .control, resumeDigest: ResumeToken.digest(token))
        let guest = Guest(GuestEngine(invitation: invitation, token: "t", name: ""), seat, token: token)
        let line = try Line(relay, loop)
        guest.line = line
        guests.append(guest)
        _ = guest.engine.opened()
        let admission = GuestAdmission(
            sessionId: sessionId, sessionName: nil, hostPublicKey: "k", hostUsername: "ana", permission: .control,
            peerId: seat.peerId, userId: seat.userId, username: seat.username, resumeToken: token, slot: slot)
        relay.find(sessionId)?.here?.joinGuest(
            admission, publicKey: "k", peer: enter(line), ack: .text("join"))
        try settle()
    }

    // MARK: What happens

    func output(_ text: String) {
        guard isReading else { return }
        printed += Array(text.utf8)
        carryOut(host.output(Array(text.utf8)))
        carryOut(host.outputPaused())
    }

    func type(_ guest: Guest) {
        let actions = guest.engine.typed(Array("<\(guest.seat.slot):\(guest.typed)>".utf8))
        // Nobody to type to: the person sees that, and types it again or not.
        if actions.isEmpty { return }
        guest.typed += 1
        carryOut(actions, guest)
    }

    func cutHost() {
        hostLine?.cut()
        hostGone()
    }

    func cut(_ guest: Guest) {
        guest.line?.cut()
        gone(guest, code: nil)
    }

    /// The client gives its connection up for a new one; the relay has not noticed.
    func duplicate(_ guest: Guest) throws {
        guest.line = nil
        carryOut(guest.engine.closed(code: nil, reason: ""), guest)
        try reconnect(guest)
    }

    /// The server dies and comes back from its database.
    func restart() throws {
        let stored = StoredRoom(
            sessionId: sessionId,
            host: .init(
                slot: 0, peerId: "host", userId: "u", username: "ana", publicKey: "", permission: .control,
                resumeDigest: ResumeToken.digest(hostToken)), guests: guests.map(\.seat))
        cutHost()
        guests.forEach(cut)
        relay = Self.relay(on: loop, lossless: lossless, metrics)
        _ = relay.restore(stored)
        loop.run()
    }

    func reconnectHost() throws {
        guard hostLine == nil else { return }
        let line = try Line(relay, loop)
        hostLine = line
        var resume = ClientMessageText(type: "resume")
        resume.id = .text("resume")
        resume.binary = true
        resume.resumeToken = hostToken
        line.send(resume)
    }

    func reconnect(_ guest: Guest) throws {
        guard guest.line == nil else { return }
        guest.wantsReconnect = false
        guest.line = try Line(relay, loop)
        carryOut(guest.engine.opened(), guest)
    }

    /// - Parameter all: also those that wait for what the network has had ample time to carry.
    func fireTimers(all: Bool = false) {
        let due = timers
        timers.removeAll()
        for timer in due {
            switch timer {
            // Proofs are abandoned by people, not by schedules.
            case .proof: break
            case .forget(host.connection) where !all: timers.append(timer)
            case .forget, .rotation, .signature, .snapshots: carryOut(host.fired(timer))
            }
        }
    }

    /// Lets batches that wait for each other go.
    func passTime() { loop.advanceTime(to: .now() + .milliseconds(1)) }

    // MARK: Carrying

    func carryHost(_ most: Int = .max) throws {
        guard let line = hostLine else { return }
        try line.carryUp(most)
        passTime()
        for message in try line.carryDown(most) { try hostHears(message) }
    }

    func carry(_ guest: Guest, _ most: Int = .max) throws {
        guard let line = guest.line else { return }
        try line.carryUp(most)
        passTime()
        for message in try line.carryDown(most) {
            // Cut, or replaced, by what it has just heard.
            guard guest.line === line else { return }
            try hears(guest, message)
        }
    }

    /// Everything arrives, everybody is back, and nothing is left to say.
    func settle() throws {
        for _ in 0..<200 {
            try reconnectHost()
            for guest in guests {
                guest.line?.setWritable(true)
                try reconnect(guest)
            }
            try carryHost()
            for guest in guests { try carry(guest) }
            fireTimers(all: try hostLine?.isQuiet() == true)
            passTime()
            let isQuiet = try hostLine?.isQuiet() == true && guests.allSatisfy { try $0.line?.isQuiet() == true }
            if timers.isEmpty, isSeated, isQuiet { return }
        }
        Issue.record("the world does not come to rest")
    }

    // MARK: The clients

    private func hostHears(_ message: WebSocketMessage) throws {
        switch message.kind {
        case .binary: carryOut(host.received(message.payload))
        case .text:
            let event = try JSONText.decode(ServerMessage.self, from: message.payload)
            guard event.id == .text("resume") || event.id == .text("joinAsHost") else {
                return carryOut(host.received(event))
            }
            #expect(event.success == true, "the host: \(event.error ?? "")")
            isSeated = true
            carryOut(host.connected(fromSequence: event.id == .text("resume") ? event.fromSequence : nil))
        case .close:
            let close = WebSocketClose(message.payload)
            Issue.record("the relay closed the host's connection: \(close)")
            cutHost()
        case .ping, .pong: break
        }
    }

    private func hostGone() {
        guard hostLine != nil else { return }
        hostLine = nil
        isSeated = false
        carryOut(host.disconnected())
    }

    private func carryOut(_ actions: [HostEngine.Action]) {
        for action in actions {
            switch action {
            case .text(let message): hostLine?.send(message)
            case .frame(let frame): hostLine?.send(frame)
            case .type(let bytes): typed += bytes
            case .start(let timer, _): timers.append(timer)
            case .pace(let reading): isReading = reading
            case .notify(.tampering(let name, let what)): Issue.record("tampering by \(name): \(what)")
            case .notify, .revoke: break
            }
        }
    }

    private func hears(_ guest: Guest, _ message: WebSocketMessage) throws {
        switch message.kind {
        case .binary: carryOut(guest.engine.received(message.payload), guest)
        case .text:
            carryOut(guest.engine.received(try JSONText.decode(ServerMessage.self, from: message.payload)), guest)
        case .close: gone(guest, code: WebSocketClose(message.payload).code)
        case .ping, .pong: break
        }
    }

    private func gone(_ guest: Guest, code: UInt16?) {
        guard guest.line != nil else { return }
        guest.line?.cut()
        guest.line = nil
        carryOut(guest.engine.closed(code: code, reason: ""), guest)
    }

    private func carryOut(_ actions: [GuestEngine.Action], _ guest: Guest) {
        for action in actions {
            switch action {
            case .text(let message):
                #expect(message.type != "joinAsGuest" || guest.restarts == 0, "a guest lost its seat")
                guest.line?.send(message)
            case .frame(let frame): guest.line?.send(frame)
            case .show(let bytes):
                guest.screen.feed(bytes)
                guest.raw += bytes
                carryOut(guest.engine.shown(), guest)
            case .restart(let rows, let columns):
                guest.screen = Screen(rows: rows, columns: columns)
                guest.restarts += 1
                guest.raw = []
            case .resize(let rows, let columns): guest.screen.resize(rows: rows, columns: columns)
            case .finish(let ending): Issue.record("guest \(guest.seat.slot) ended: \(ending)")
            case .reconnect: guest.wantsReconnect = true
            case .status: break
            }
        }
    }
}
