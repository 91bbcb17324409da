import Terminal
import Testing
import WebSocket
import Wire

@testable import Client
@testable import SessionHost
@testable import Relay

/// What the clients hear, and what their engines want done.
extension World {
    func hostHears(_ message: WebSocketMessage) throws {
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

    func hostGone() {
        guard hostLine != nil else { return }
        hostLine = nil
        isSeated = false
        carryOut(host.disconnected())
    }

    func carryOut(_ actions: [HostEngine.Action]) {
        for action in actions {
            switch action {
            case .text(let message): hostLine?.send(message)
            case .frame(let frame): hostLine?.send(frame)
            case .type(let bytes, let receipt):
                typed += bytes
                carryOut(host.taken(receipt))
            case .start(let timer, _): timers.append(timer)
            case .pace(let reading): isReading = reading
            case .notify(.tampering(let name, let what)): Issue.record("tampering by \(name): \(what)")
            case .notify, .revoke: break
            }
        }
    }

    func hears(_ guest: Guest, _ message: WebSocketMessage) throws {
        switch message.kind {
        case .binary: carryOut(guest.engine.received(message.payload), guest)
        case .text:
            let event = try JSONText.decode(ServerMessage.self, from: message.payload)
            if event.id == .text("join"), event.success == true { guest.isSeated = true }
            carryOut(guest.engine.received(event), guest)
        case .close: gone(guest, code: WebSocketClose(message.payload).code)
        case .ping, .pong: break
        }
    }

    func gone(_ guest: Guest, code: UInt16?) {
        guard guest.line != nil else { return }
        guest.line?.cut()
        guest.line = nil
        carryOut(guest.engine.closed(code: code, reason: ""), guest)
    }

    func carryOut(_ actions: [GuestEngine.Action], _ guest: Guest) {
        for action in actions {
            switch action {
            case .text(let message):
                guard message.type == "joinAsGuest", let line = guest.line else {
                    guest.line?.send(message)
                    continue
                }
                #expect(!guest.isSeated, "guest \(guest.number) lost its seat")
                admit(guest, line, ack: message.id)
            case .frame(let frame): guest.line?.send(frame)
            case .show(let bytes):
                guest.screen.feed(bytes)
                guest.raw += bytes
                carryOut(guest.engine.shown(), guest)
            case .restart(let rows, let columns):
                guest.screen = Screen(rows: rows, columns: columns)
                guest.restarts += 1
                guest.raw = []
                guest.printedBefore = printed.count
            case .resize(let rows, let columns): guest.screen.resize(rows: rows, columns: columns)
            case .finish(let ending): Issue.record("guest \(guest.number) ended: \(ending)")
            case .reconnect: guest.wantsReconnect = true
            case .status(.inputLost(let bytes)):
                guest.lostBytes += bytes
                // Its person has seen it.
                guest.engine.continueInput()
            case .status, .pace: break
            }
        }
    }
}
