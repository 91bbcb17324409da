import EndToEnd
import Model
import NIOCore
import Terminal
import Testing
import Wire

@testable import Client
@testable import SessionHost

/// A host engine, guest engines and the least a relay does between them, without sockets and without time.
final class Stage {
    let host: HostEngine
    let codes: [CodeSecrets]
    var guests: [GuestEngine] = []
    var screens: [Screen] = []
    var raw: [[UInt8]] = []
    var endings: [GuestEnding?] = []
    var statuses: [[GuestStatus]] = []
    var typed: [UInt8] = []
    var notices: [HostNotice] = []
    var reading = true
    private var present: [Bool] = []
    /// Guests that get broadcasts: those that have had a snapshot since they joined or fell behind.
    var synced: [Bool] = []
    private var timers: [HostEngine.Timer] = []
    private var ring: [ByteBuffer] = []

    init(_ options: HostEngine.Options = .init()) {
        codes = [
            CodeSecrets(code: ShareCodeId.random(), permission: .control),
            CodeSecrets(code: ShareCodeId.random(), permission: .read),
        ]
        host = HostEngine(sessionId: "s", codes: codes, options: options, rows: 24, columns: 80)
        carryOut(host.connected(fromSequence: nil))
    }

    @discardableResult
    func join(_ permission: Permission = .control, words: ShareSecret? = nil, name: String = "") -> Int {
        let secrets = codes[permission == .control ? 0 : 1]
        let invitation = ShareInvitation(code: secrets.code, secret: words ?? secrets.words)
        let index = guests.count
        guests.append(GuestEngine(invitation: invitation, token: "t", name: name))
        screens.append(Screen(rows: 24, columns: 80))
        raw.append([])
        endings.append(nil)
        statuses.append([])
        present.append(true)
        synced.append(false)
        _ = guests[index].opened()
        announce(index)
        var ack = ServerMessage.ack(.text("join"))
        ack.sessionId = "s"
        ack.permission = permission
        ack.resumeToken = "r"
        carryOut(guests[index].received(ack), from: index)
        return index
    }

    func announce(_ index: Int) {
        var joined = ServerMessage(.guestJoined)
        joined.peerId = "p\(index)"
        joined.slot = Slot(index + 1)
        joined.username = "user\(index)"
        carryOut(host.received(joined))
    }

    /// The host's connection drops, and it is back at a relay that starts anew; nobody is announced yet.
    func hostDropsAndReturns() {
        carryOut(host.disconnected())
        carryOut(host.connected(fromSequence: 0))
    }

    func hostWent(_ index: Int) {
        var left = ServerMessage(.peerDisconnected)
        left.isHost = true
        carryOut(guests[index].received(left), from: index)
    }

    func hostReturned(_ index: Int) {
        var returned = ServerMessage(.peerReturned)
        returned.isHost = true
        carryOut(guests[index].received(returned), from: index)
    }

    /// The guest's client begins its proof, or begins it anew.
    func sayHello(_ index: Int) { carryOut(guests[index].hello(), from: index) }

    func leave(_ index: Int) {
        present[index] = false
        var left = ServerMessage(.peerDisconnected)
        left.peerId = "p\(index)"
        carryOut(host.received(left))
    }

    func output(_ text: String) {
        carryOut(host.output(Array(text.utf8)))
        carryOut(host.outputPaused())
    }

    func type(_ text: String, _ index: Int) { carryOut(guests[index].typed(Array(text.utf8)), from: index) }

    /// Fires everything that was scheduled, and what that schedules.
    func settle() {
        while !timers.isEmpty {
            let due = timers
            timers.removeAll()
            for timer in due {
                switch timer {
                // People let these pass, and not a test of what follows.
                case .proof, .pairing: continue
                case .rotation, .signature, .snapshots, .forget, .inputAcknowledgement: carryOut(host.fired(timer))
                }
            }
        }
    }

    func fireOldest() { if !timers.isEmpty { carryOut(host.fired(timers.removeFirst())) } }

    func fallBehind(_ index: Int) { synced[index] = false }

    func warn(_ index: Int) {
        carryOut(guests[index].received(.warning(code: "slow_consumer", "")), from: index)
    }

    func carryOut(_ actions: [HostEngine.Action]) {
        for action in actions {
            switch action {
            case .text(let message): deliver(message)
            case .frame(let frame): deliver(frame)
            case .type(let bytes, let receipt):
                typed += bytes
                carryOut(host.taken(receipt))
            case .start(let timer, _): timers.append(timer)
            case .notify(let notice): notices.append(notice)
            case .pace(let reading): self.reading = reading
            case .revoke: break
            }
        }
    }

    private func deliver(_ message: ClientMessageText) {
        guard let target = message.targetPeerId ?? message.peerId, let index = Int(target.dropFirst()), present[index]
        else { return }
        if message.type == "kick" { return leave(index) }
        var event = ServerMessage(.keyExchange)
        event.payload = message.payload
        carryOut(guests[index].received(event), from: index)
    }

    private func deliver(_ frame: ByteBuffer) {
        guard let header = try? FrameHeader(peeking: frame) else { return }
        if header.kind != .broadcast {
            let index = Int(header.slot) - 1
            guard present[index] else { return }
            if header.kind == .snapshot { synced[index] = true }
            return carryOut(guests[index].received(frame), from: index)
        }
        for index in guests.indices where present[index] && synced[index] {
            carryOut(guests[index].received(frame), from: index)
        }
    }

    private func carryOut(_ actions: [GuestEngine.Action], from index: Int) {
        for action in actions {
            switch action {
            case .text(let message):
                var event = ServerMessage(.keyExchange)
                event.fromPeerId = "p\(index)"
                event.payload = message.payload
                carryOut(host.received(event))
            case .frame(var frame):
                FrameHeader.setSlot(Slot(index + 1), of: &frame)
                carryOut(host.received(frame))
            case .show(let bytes):
                screens[index].feed(bytes)
                raw[index] += bytes
                carryOut(guests[index].shown(), from: index)
            case .restart(let rows, let columns): screens[index] = Screen(rows: rows, columns: columns)
            case .resize(let rows, let columns): screens[index].resize(rows: rows, columns: columns)
            case .finish(let ending): endings[index] = ending
            case .status(let status): statuses[index].append(status)
            case .reconnect, .pace: break
            }
        }
    }

    func shows(_ index: Int) -> Bool { screens[index].text == host.screen.text }
}
