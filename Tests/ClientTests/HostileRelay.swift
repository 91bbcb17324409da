import EndToEnd
import Model
import NIOCore
import Terminal
import Wire

@testable import Client
@testable import SessionHost

/// A host, a guest and a relay between them that does something to one message of one run.
final class HostileRelay {
    /// What the relay does to a message.
    enum Attempt: String, CaseIterable {
        case drop, delay, swap, duplicate, change, epoch, sequence, forge
    }

    /// One message of the protocol, by its direction, what the relay can see of it, and how many of the kind came before.
    struct Place: Hashable, CustomStringConvertible {
        let toHost: Bool
        let kind: String
        let number: Int

        var description: String { "\(toHost ? "guest" : "host"): \(kind) \(number)" }
    }

    private enum Event {
        case text(ServerMessage)
        case frame(ByteBuffer)
    }

    static let keys = ["a", "b", "c", "d"]
    static let status: Int32 = 7

    let host: HostEngine
    let guest: GuestEngine
    private(set) var screen = Screen(rows: 24, columns: 80)
    private(set) var typed = ""
    /// What the person typed since there was a screen to type into: a client takes nothing before.
    private(set) var wanted = ""
    private(set) var ending: GuestEnding?
    private(set) var statuses: [GuestStatus] = []
    private(set) var notices: [HostNotice] = []
    /// Every message that was sent, in order.
    private(set) var places: [Place] = []
    private let attack: (place: Place, attempt: Attempt)?
    private var queue: [(toHost: Bool, event: Event)] = []
    private var counts: [String: Int] = [:]
    /// Held back until the next message in its direction, or until the end.
    private var held: (toHost: Bool, event: Event, untilEnd: Bool)?
    private var timers: [HostEngine.Timer] = []
    private var isSynced = false
    private var hasGuest = true

    init(_ attack: (Place, Attempt)? = nil, lossless: Bool) {
        self.attack = attack.map { (place: $0.0, attempt: $0.1) }
        // One bit of its last letter makes another code, as it does of most; a random one is now and then no code any more.
        let codes = CodeSecrets(code: ShareCodeId("SYCLX-BBBBBB") ?? .random(), permission: .control)
        host = HostEngine(
            sessionId: "s", codes: [codes], options: .init(title: "t", approve: false, lossless: lossless), rows: 24,
            columns: 80)
        guest = GuestEngine(
            invitation: ShareInvitation(code: codes.code, secret: codes.words), token: "t", name: "Carla")
    }

    /// A whole session: somebody joins, the command prints, the guest types, the command ends.
    func run() {
        carryOut(host.connected(fromSequence: nil))
        carryOut(host.output(Array("before\r\n".utf8)) + host.outputPaused())
        _ = guest.opened()
        var joined = ServerMessage(.guestJoined)
        joined.peerId = "p"
        joined.slot = 1
        joined.username = "carla"
        carryOut(host.received(joined))
        var ack = ServerMessage.ack(.text("join"))
        ack.sessionId = "s"
        ack.permission = .control
        ack.resumeToken = "r"
        carryOut(guest.received(ack))
        settle()
        for (number, key) in Self.keys.enumerated() {
            if guest.canType || !wanted.isEmpty { wanted += key }
            carryOut(guest.typed(Array(key.utf8)))
            settle()
            carryOut(host.output(Array("line \(number)\r\n".utf8)) + host.outputPaused())
            settle()
        }
        carryOut(host.exited(status: Self.status))
        settle()
        if let held { deliver(held) }
        settle()
        // What an honest relay says when the host has ended the session, and a hostile one when it likes.
        var ended = ServerMessage(.sessionEnded)
        ended.reason = "host_ended"
        carryOut(guest.received(ended))
        // Time passes: whoever has not proved anything loses the seat.
        for timer in timers { if case .pairing = timer { carryOut(host.fired(timer)) } }
    }

    /// Everything that the guest's person saw and typed is as it should be.
    var isComplete: Bool {
        screen.text == host.screen.text && typed == wanted
            && ending == .ended(status: UInt32(bitPattern: Self.status))
    }

    /// What either side says about it; empty where nobody noticed anything.
    var noticed: [String] {
        var found: [String] = []
        switch ending {
        case .tampering: found.append("guest: tampering")
        case .impostor: found.append("guest: impostor")
        case .rejected: found.append("guest: rejected")
        case .cutShort: found.append("guest: incomplete")
        default: break
        }
        if guest.unconfirmedInput > 0 { found.append("guest: input unconfirmed") }
        for case .inputLost in statuses { found.append("guest: input lost") }
        for notice in notices {
            switch notice {
            case .tampering: found.append("host: tampering")
            case .wrongSecret: found.append("host: wrong words")
            case .neverProved: found.append("host: never proved")
            default: break
            }
        }
        if host.awaitsConfirmation { found.append("host: end unconfirmed") }
        return found.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    // MARK: Carrying

    private func settle() {
        while true {
            while !queue.isEmpty { deliver(queue.removeFirst()) }
            let due = timers.filter { timer in
                switch timer {
                case .pairing, .proof, .forget: false
                case .rotation, .signature, .snapshots, .inputAcknowledgement: true
                }
            }
            if due.isEmpty { return }
            timers.removeAll { due.contains($0) }
            for timer in due { carryOut(host.fired(timer)) }
        }
    }

    private func deliver(_ message: (toHost: Bool, event: Event)) {
        switch (message.toHost, message.event) {
        case (true, .text(let event)): if hasGuest { carryOut(host.received(event)) }
        case (true, .frame(let frame)): if hasGuest { carryOut(host.received(frame)) }
        case (false, .text(let event)): if ending == nil { carryOut(guest.received(event)) }
        case (false, .frame(let frame)): if ending == nil { carryOut(guest.received(frame)) }
        }
    }

    private func deliver(_ held: (toHost: Bool, event: Event, untilEnd: Bool)) {
        self.held = nil
        deliver((toHost: held.toHost, event: held.event))
    }

    private func send(_ event: Event, toHost: Bool, _ kind: String) {
        counts[kind, default: 0] += 1
        let place = Place(toHost: toHost, kind: kind, number: counts[kind] ?? 1)
        places.append(place)
        if let attack, attack.place == place {
            apply(attack.attempt, to: event, toHost: toHost)
        } else {
            queue.append((toHost: toHost, event: event))
        }
        if let held, held.toHost == toHost, !held.untilEnd, attack?.place != place {
            self.held = nil
            queue.append((toHost: toHost, event: held.event))
        }
    }

    private func apply(_ attempt: Attempt, to event: Event, toHost: Bool) {
        switch attempt {
        case .drop: break
        case .delay: held = (toHost, event, true)
        case .swap: held = (toHost, event, false)
        case .duplicate: queue += [(toHost: toHost, event: event), (toHost: toHost, event: event)]
        case .change: queue.append((toHost: toHost, event: changed(event)))
        case .epoch: queue.append((toHost: toHost, event: Self.changed(event, at: 7)))
        case .sequence: queue.append((toHost: toHost, event: Self.changed(event, at: 15)))
        case .forge: queue += [(toHost: toHost, event: forged(event)), (toHost: toHost, event: event)]
        }
    }

    /// One bit of what is inside.
    private func changed(_ event: Event) -> Event {
        switch event {
        case .frame(let frame): return Self.changed(.frame(frame), at: frame.readableBytes - 1)
        case .text(var message):
            guard let payload = message.payload, var bytes = try? HandshakeMessage(payload: payload).bytes else {
                return event
            }
            bytes[bytes.count - 1] ^= 1
            message.payload = (try? HandshakeMessage(bytes: bytes))?.payload ?? payload
            return .text(message)
        }
    }

    private static func changed(_ event: Event, at index: Int) -> Event {
        guard case .frame(var frame) = event, index < frame.readableBytes,
            let byte = frame.getInteger(at: frame.readerIndex + index, as: UInt8.self)
        else { return event }
        frame.setInteger(byte ^ 1, at: frame.readerIndex + index)
        return .frame(frame)
    }

    /// A message of the same kind that the relay made itself.
    private func forged(_ event: Event) -> Event {
        switch event {
        case .frame(var frame):
            let header = FrameHeader.size
            for index in header..<frame.readableBytes {
                frame.setInteger(UInt8(truncatingIfNeeded: index), at: frame.readerIndex + index)
            }
            return .frame(frame)
        case .text: return changed(event)
        }
    }

    // MARK: What the engines want

    private func carryOut(_ actions: [HostEngine.Action]) {
        for action in actions {
            switch action {
            case .text(let message):
                if message.type == "kick" { hasGuest = false }
                guard message.type == "keyExchange", let payload = message.payload else { continue }
                var event = ServerMessage(.keyExchange)
                event.payload = payload
                send(.text(event), toHost: false, Self.name(payload))
            case .frame(let frame):
                guard let header = try? FrameHeader(peeking: frame) else { continue }
                if header.kind == .snapshot { isSynced = true }
                if header.kind == .broadcast && !isSynced { continue }
                send(.frame(frame), toHost: false, "\(header.kind)")
            case .type(let bytes, let receipt):
                typed += String(decoding: bytes, as: UTF8.self)
                carryOut(host.taken(receipt))
            case .start(let timer, _): timers.append(timer)
            case .notify(let notice): notices.append(notice)
            case .pace, .revoke: break
            }
        }
    }

    private func carryOut(_ actions: [GuestEngine.Action]) {
        for action in actions {
            switch action {
            case .text(let message):
                guard message.type == "keyExchange", let payload = message.payload else { continue }
                var event = ServerMessage(.keyExchange)
                event.fromPeerId = "p"
                event.payload = payload
                send(.text(event), toHost: true, Self.name(payload))
            case .frame(var frame):
                FrameHeader.setSlot(1, of: &frame)
                guard let header = try? FrameHeader(peeking: frame) else { continue }
                send(.frame(frame), toHost: true, "\(header.kind)")
            case .show(let bytes):
                screen.feed(bytes)
                carryOut(guest.shown())
            case .restart(let rows, let columns): screen = Screen(rows: rows, columns: columns)
            case .resize(let rows, let columns): screen.resize(rows: rows, columns: columns)
            case .status(let status): statuses.append(status)
            case .finish(let end): ending = ending ?? end
            case .reconnect, .pace: break
            }
        }
    }

    private static func name(_ payload: String) -> String {
        switch try? HandshakeMessage(payload: payload) {
        case .hello: "hello"
        case .offer: "offer"
        case .proof: "proof"
        case .accept: "accept"
        case .reject: "reject"
        case .rekey: "rekey"
        case .rekeyed: "rekeyed"
        case nil: "nothing"
        }
    }
}
