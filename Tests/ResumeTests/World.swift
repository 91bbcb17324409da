import EndToEnd
import Model
import NIOCore
import NIOEmbedded
import Telemetry
import Terminal
import Testing
import WebSocket
import Wire

@testable import Client
@testable import SessionHost
@testable import Relay

private struct NoAuthority: RelayAuthority {
    func admitHost(token: String, sessionId: String, from address: String) async -> Result<HostAdmission, RelayRefusal>
    {
        .failure(RelayRefusal("not here", closeCode: CloseCode.notAllowed))
    }
    func admitGuest(
        token: String?, code: String, publicKey: String, from address: String
    ) async -> Result<GuestAdmission, RelayRefusal> {
        .failure(RelayRefusal("not here", closeCode: CloseCode.notAllowed))
    }
    func seatGivenUp(peerId: String, reason: KickReason?) async {}
    func sessionEnded(sessionId: String, reason: SessionEnd) async {}
    func recordRelayed(bytes: Int, sessionId: String) async -> Bool { true }
}

/// A host, its guests and the real relay between them, on a loop that only moves when it is told to.
final class World {
    /// A guest as its person has it.
    final class Guest {
        /// What its person types is marked with it.
        let number: Int
        let engine: GuestEngine
        /// Its own, from the moment the relay lets it in; another one where it has to join again.
        var seat: SeatRecord?
        var line: Line?
        var screen = Screen(rows: 24, columns: 80)
        var raw: [UInt8] = []
        var restarts = 0
        var typed = 0
        /// Bytes that it has typed, and of those the ones that it was told did not arrive.
        var typedBytes = 0
        var lostBytes = 0
        var wantsReconnect = false
        /// It has heard that it is in, and needs no other seat from then on.
        var isSeated = false
        /// What the host had printed when this guest got its snapshot, in bytes.
        var printedBefore = 0
        /// As it was when the world first came to rest with this guest in it; nil until then.
        var atRest: (restarts: Int, raw: Int, printed: Int)?

        init(_ number: Int, _ engine: GuestEngine) {
            self.number = number
            self.engine = engine
        }
    }

    let lossless: Bool
    /// Of every relay that the world has had.
    let metrics = RelayMetrics()
    let host: HostEngine
    private(set) var guests: [Guest] = []
    /// Whoever is gone, for what its person had typed.
    private(set) var departed: [Guest] = []
    private(set) var printed: [UInt8] = []
    /// What the host was told to type, by guest.
    var typed: [UInt8] = []
    var isReading = true
    private let sessionId = "s"
    private let codes: [CodeSecrets]
    private let hostToken: String
    private let loop = EmbeddedEventLoop()
    private var relay: RelayServer
    var hostLine: Line?
    var timers: [HostEngine.Timer] = []
    var isSeated = false
    private var newestGuest = 0
    private var newestSlot: Slot = 0

    init(guests count: Int, lossless: Bool) throws {
        self.lossless = lossless
        codes = [CodeSecrets(code: ShareCodeId.random(), permission: .control)]
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
        for _ in 0..<count {
            try join()
            try settle()
        }
    }

    /// With bounds so narrow that a guest falls behind, and behind the ring, within a schedule. A lossless host holds its
    /// output back by a window of its own, for which the bounds are as wide as they are.
    private static func relay(
        on loop: EmbeddedEventLoop, lossless: Bool, _ metrics: RelayMetrics
    ) -> RelayServer {
        var configuration = RelayConfiguration()
        if !lossless { (configuration.ringBytes, configuration.outboxBytes) = (8 << 10, 8 << 10) }
        return RelayServer(authority: NoAuthority(), group: loop, configuration: configuration, metrics: metrics)
    }

    private func enter(_ line: Line) -> PeerHandler {
        line.handler.startJoining()
        line.handler.dialect = .frames
        return line.handler
    }

    /// Somebody comes, in the middle of whatever goes on.
    func join() throws {
        newestGuest += 1
        let invitation = ShareInvitation(code: codes[0].code, secret: codes[0].words)
        let guest = Guest(newestGuest, GuestEngine(invitation: invitation, token: "t", name: ""))
        guests.append(guest)
        try reconnect(guest)
    }

    /// Somebody goes for good.
    func leave(_ guest: Guest) throws {
        try guest.line?.sayGoodbye()
        guest.line = nil
        guests.removeAll { $0 === guest }
        departed.append(guest)
    }

    /// What the server's accounts do for a relay that is asked to let somebody in: each time a seat of its own.
    func admit(_ guest: Guest, _ line: Line, ack: MessageId?) {
        newestSlot += 1
        let (slot, token) = (newestSlot, ResumeToken.make(sessionId: sessionId))
        let seat = SeatRecord(
            slot: Int(slot), peerId: "p\(slot)", userId: "u\(guest.number)", username: "guest\(guest.number)",
            publicKey: "k",
            permission: .control, resumeDigest: ResumeToken.digest(token))
        guest.seat = seat
        let admission = GuestAdmission(
            sessionId: sessionId, sessionName: nil, hostPublicKey: "k", hostUsername: "ana", permission: .control,
            peerId: seat.peerId, userId: seat.userId, username: seat.username, resumeToken: token, slot: slot)
        relay.find(sessionId)?.here?.joinGuest(admission, publicKey: "k", peer: enter(line), ack: ack)
    }

    // MARK: What happens

    func output(_ text: String) {
        guard isReading else { return }
        printed += Array(text.utf8)
        carryOut(host.output(Array(text.utf8)))
        carryOut(host.outputPaused())
    }

    func type(_ guest: Guest) {
        let bytes = Array("<\(guest.number):\(guest.typed)>".utf8)
        // Nobody to type to: the person sees that, and types it again or not.
        guard guest.engine.canType else { return }
        let actions = guest.engine.typed(bytes)
        guest.typed += 1
        guest.typedBytes += bytes.count
        carryOut(actions, guest)
    }

    func cutHost() {
        hostLine?.cut()
        hostGone()
    }

    /// The same for the host: its client gives its connection up, and the relay has not noticed.
    func duplicateHost() throws {
        hostGone()
        try reconnectHost()
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
                resumeDigest: ResumeToken.digest(hostToken)), guests: guests.compactMap(\.seat))
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
            case .proof, .pairing: break
            case .forget(host.connection) where !all: timers.append(timer)
            case .forget, .inputAcknowledgement, .rotation, .signature, .snapshots: carryOut(host.fired(timer))
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
            guard timers.isEmpty, isSeated, isQuiet else { continue }
            for guest in guests where guest.atRest == nil {
                guest.atRest = (guest.restarts, guest.raw.count, printed.count)
            }
            return
        }
        Issue.record("the world does not come to rest")
    }
}
