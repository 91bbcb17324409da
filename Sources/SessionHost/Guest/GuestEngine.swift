package import EndToEnd
package import Model
package import NIOCore
package import Wire

/// The guest's side of a share as a state machine: events in, actions out, no socket, no terminal, no clock.
package final class GuestEngine {
    package enum Action: Equatable {
        case text(ClientMessageText)
        case frame(ByteBuffer)
        /// Terminal output that the host has signed.
        case show([UInt8])
        /// The host's window has this size now; everything shown before is void: a snapshot follows.
        case restart(rows: Int, columns: Int)
        case resize(rows: Int, columns: Int)
        /// One line for the person.
        case status(GuestStatus)
        /// Drop the connection and resume.
        case reconnect
        /// Stop or go on reading what the person types, so that it is not kept here.
        case pace(reading: Bool)
        case finish(GuestEnding)
    }

    private enum Phase {
        case joining
        /// In the room; the host is not there yet.
        case waitingForHost
        case proving(GuestHandshake)
        case paired
    }

    private enum SignedEnd: Equatable { case exited(UInt32), stopped }

    /// Frames kept for an epoch whose key is still on its way, in bytes.
    private static let waitingLimit = 4 << 20
    /// Acknowledgements are sent at least this often, in bytes shown: a sixteenth of the host's window.
    private static let acknowledgeEvery = 64 << 10

    private let invitation: ShareInvitation
    private let token: String
    private let name: String
    private var phase = Phase.joining
    private var resumeToken: String?
    private var sessionId = ""
    private var pairing: Pairing?
    private var channel: PairwiseChannel?
    private var rekey: Pairing.Rekey?
    private var opener: BroadcastOpener?
    private var welcome: DirectMessage.Welcome?
    private var epochKeys: [(UInt32, [UInt8])] = []
    private var waiting: [ByteBuffer] = []
    private var waitingBytes = 0
    private var awaitsSnapshot = true
    private var asksForSeatOnly = false
    private var hasScreen = false
    private var unconfirmedProofs = 0
    private var unacknowledged = 0
    /// How the host says that the share ended; believed because it signed it.
    private var signedEnd: SignedEnd?
    private var input = GuestInput()
    package private(set) var permission = Permission.read

    package init(invitation: ShareInvitation, token: String, name: String) {
        self.invitation = invitation
        self.token = token
        self.name = name
    }

    package var title: String { welcome?.title ?? "" }

    // MARK: The connection

    package func opened() -> [Action] {
        channel = nil
        waiting.removeAll()
        waitingBytes = 0
        if let resumeToken {
            var message = ClientMessageText(type: "resume")
            message.id = .text("resume")
            message.resumeToken = resumeToken
            message.binary = true
            message.lastSequence = asksForSeatOnly || awaitsSnapshot ? nil : opener?.lastSequence
            return [.text(message)]
        }
        phase = .joining
        var message = ClientMessageText(type: "joinAsGuest")
        message.id = .text("join")
        message.token = token
        message.code = invitation.code.description
        // The contract wants a key; the handshake below makes its own, which the relay cannot exchange.
        message.guestPublicKey = "cpace"
        message.binary = true
        return [.text(message)]
    }

    package func closed(code: UInt16?, reason: String) -> [Action] {
        switch code {
        case CloseCode.notAllowed, CloseCode.notSignedIn, CloseCode.noSuchSession, CloseCode.replaced,
            CloseCode.badMessage:
            return [.finish(.removed(reason))]
        default:
            interrupt()
            return [.status(.disconnected), .reconnect]
        }
    }

    // MARK: Events of the relay

    package func received(_ message: ServerMessage) -> [Action] {
        switch message.type {
        case .ack: return acknowledged(message)
        case .keyExchange: return message.payload.map(handshake) ?? []
        case .peerDisconnected where message.isHost == true:
            interrupt()
            return [.status(.hostAway)]
        case .peerReturned where message.isHost == true: return hostReturned()
        case .warning where message.code == "slow_consumer": return askForSnapshot() + [.status(.skipped)]
        case .sessionEnded: return [.finish(ending(message.reason))]
        default: return []
        }
    }

    /// What the relay says about the end is not signed: without the host's word something may be missing.
    private func ending(_ reason: String?) -> GuestEnding {
        switch signedEnd {
        case .exited(let status): .ended(status: status)
        case .stopped: .ended(status: nil)
        case nil: .cutShort(reason: reason ?? "no reason given")
        }
    }

    private func acknowledged(_ ack: ServerMessage) -> [Action] {
        let error = ack.error ?? "refused"
        switch ack.id {
        case .text("join"):
            guard ack.success == true, let session = ack.sessionId else { return [.finish(.refused(error))] }
            sessionId = session
            permission = ack.permission ?? .read
            resumeToken = ack.resumeToken
            return hello()
        case .text("resume"):
            if ack.success == true {
                asksForSeatOnly = false
                return pairing == nil ? hello() : startRekey()
            }
            if !asksForSeatOnly && error == "Resume window passed" {
                // First without what was missed, then, if the seat is gone, through the front door.
                asksForSeatOnly = true
                awaitsSnapshot = true
            } else {
                return forget() + opened()
            }
            return opened()
        case .text("hello"), .text("rekey"):
            return ack.success == true ? [] : waitForHost()
        default: return []
        }
    }

    /// The relay lost the seat, and with it the host knows this guest no more.
    private func forget() -> [Action] {
        resumeToken = nil
        asksForSeatOnly = false
        return unpair()
    }

    private func unpair() -> [Action] {
        pairing = nil
        rekey = nil
        channel = nil
        opener = nil
        welcome = nil
        awaitsSnapshot = true
        epochKeys.removeAll()
        return lose(input.reset())
    }

    /// Nobody takes what would be sent now. The rekey that ends this is answered with the host's count.
    private func interrupt() { if pairing != nil { input.interrupt() } }

    /// Nothing more is sent until the person has seen that something is missing.
    private func lose(_ bytes: Int) -> [Action] {
        let pace = input.changedPace().map { [Action.pace(reading: $0)] } ?? []
        guard bytes > 0 else { return pace }
        lostInput += bytes
        return [.status(.inputLost(bytes: lostInput))] + pace
    }

    private func waitForHost() -> [Action] {
        if pairing == nil { phase = .waitingForHost }
        return [.status(.waitingForHost)]
    }

    private func hostReturned() -> [Action] { pairing == nil ? hello() : startRekey() }

    private func hello() -> [Action] {
        let handshake = GuestHandshake(sessionId: sessionId, permission: permission, invitation: invitation)
        phase = .proving(handshake)
        return [exchange("hello", handshake.hello)]
    }

    private func startRekey() -> [Action] {
        guard let pairing else { return [] }
        let own = Pairing.Rekey()
        rekey = own
        channel = nil
        input.interrupt()
        return [exchange("rekey", pairing.rekeyRequest(own))]
    }

    private func exchange(_ id: String, _ message: HandshakeMessage) -> Action {
        var text = ClientMessageText(type: "keyExchange")
        text.id = .text(id)
        text.payload = message.payload
        return .text(text)
    }

    private func handshake(_ payload: String) -> [Action] {
        guard let message = try? HandshakeMessage(payload: payload) else { return [] }
        do {
            switch (message, phase) {
            case (.offer(let nonce, let point, let guestNonce), .proving(var handshake)):
                guard
                    let proof = try handshake.receive(offerNonce: nonce, point: point, guestNonce: guestNonce)
                else { return [] }
                phase = .proving(handshake)
                unconfirmedProofs += 1
                guard unconfirmedProofs <= GuestHandshake.unconfirmedProofsAllowed else { return [.finish(.impostor)] }
                return [exchange("proof", proof)]
            case (.accept(let confirmation), .proving(let handshake)):
                let pairing = try handshake.receive(confirmation: confirmation)
                self.pairing = pairing
                unconfirmedProofs = 0
                phase = .paired
                let channel = pairing.channel()
                self.channel = channel
                return [.frame(channel.seal(.name(name)))]
            case (.reject(.notPaired), .paired): return unpair() + hello()
            case (.reject(let reason), _): return [.finish(.rejected(reason))]
            case (.rekeyed(let generation, let key, let tag), .paired):
                // An answer to an earlier request (both sides came back at once) fits no longer; the right one follows.
                guard let pairing, let rekey,
                    let channel = try? pairing.finishRekey(rekey, generation: generation, key: key, tag: tag)
                else { return [] }
                self.channel = channel
                self.rekey = nil
                // Said again: it may have been lost with the connection, and the host asks its person by name.
                return [.frame(channel.seal(.name(name)))] + (awaitsSnapshot ? askForSnapshot() : acknowledge()) + [
                    .status(.back)
                ]
            default: return []
            }
        } catch EndToEndError.wrongSecret {
            return [.finish(.impostor)]
        } catch {
            return [.finish(.tampering("\(error)"))]
        }
    }

    // MARK: Frames

    package func received(_ frame: ByteBuffer) -> [Action] {
        guard let header = try? FrameHeader(peeking: frame) else { return [] }
        do {
            if header.kind == .broadcast { return try broadcast(frame) }
            guard let channel else { return [] }
            return try direct(channel.openFromHost(frame))
        } catch EndToEndError.staleGeneration {
            return []
        } catch EndToEndError.gap {
            // The relay drops what waits for a slow guest, a snapshot among it, so that this need not be an attack. New keys, and
            // a snapshot, put everything right.
            awaitsSnapshot = true
            return startRekey()
        } catch {
            return [.finish(.tampering("\(error)"))]
        }
    }

    private func direct(_ message: DirectMessage) throws -> [Action] {
        switch message {
        case .welcome(let welcome):
            self.welcome = welcome
            if opener == nil {
                opener = try BroadcastOpener(sessionId: sessionId, signingKey: welcome.signingKey)
                epochKeys.forEach { opener?.addEpoch($0.0, key: $0.1) }
            }
            // What was typed while the host let this guest in again.
            return sendInput()
        case .epochKey(let epoch, let key):
            opener?.addEpoch(epoch, key: key)
            return try retryWaiting() + (canWaitStillEnd ? [] : askForSnapshot())
        case .snapshot(let snapshot):
            opener?.reset(to: snapshot)
            awaitsSnapshot = false
            unacknowledged = 0
            // Only now is there a screen to look at before one types into it.
            let joined: [Action] = [.status(hasScreen ? .back : .joined(title: title))]
            hasScreen = true
            return joined + [.restart(rows: Int(snapshot.rows), columns: Int(snapshot.columns))]
                + (snapshot.output.isEmpty ? [] : [.show(snapshot.output)]) + (try retryWaiting())
        case .approvalPending: return [.status(.waitingForApproval)]
        case .typed(let total):
            confirmations += 1
            let lost = lose(input.taken(total))
            return lost + sendInput()
        }
    }

    private func broadcast(_ frame: ByteBuffer) throws -> [Action] {
        guard opener != nil, !awaitsSnapshot else { return [] }
        if !waiting.isEmpty { return wait(frame) }
        do {
            guard let messages = try opener?.open(frame) else { return [] }
            return messages.flatMap(show)
        } catch EndToEndError.unknownEpoch {
            return wait(frame)
        } catch EndToEndError.replayed {
            return []
        } catch EndToEndError.gap {
            return askForSnapshot()
        }
    }

    /// Frames of an epoch whose key is on its way are kept; too many mean that it will not come.
    private func wait(_ frame: ByteBuffer) -> [Action] {
        waiting.append(frame)
        waitingBytes += frame.readableBytes
        return waitingBytes > Self.waitingLimit || !canWaitStillEnd ? askForSnapshot() : []
    }

    /// Epochs only grow, and their keys come in order. A frame whose epoch is older than a key that is here, or than a frame behind it,
    /// waits for a key that will not come: its header was changed on the way.
    private var canWaitStillEnd: Bool {
        guard let first = waiting.first.flatMap({ try? FrameHeader(peeking: $0) }) else { return true }
        if opener?.mayStillKnow(first.epoch) == false { return false }
        let last = waiting.last.flatMap { try? FrameHeader(peeking: $0) }
        return last.map { $0.epoch >= first.epoch } ?? true
    }

    private func retryWaiting() throws -> [Action] {
        let frames = waiting
        waiting.removeAll()
        waitingBytes = 0
        return try frames.flatMap { try broadcast($0) }
    }

    private func askForSnapshot() -> [Action] {
        awaitsSnapshot = true
        waiting.removeAll()
        waitingBytes = 0
        return channel.map { [.frame($0.seal(.snapshotPlease))] } ?? []
    }

    private func show(_ message: BroadcastMessage) -> [Action] {
        switch message {
        case .output(let bytes):
            unacknowledged += bytes.count
            return [.show(bytes)]
        case .size(let rows, let columns): return [.resize(rows: Int(rows), columns: Int(columns))]
        case .exited(let status): return end(.exited(status))
        case .stopped: return end(.stopped)
        case .skipped:
            // The host sends one right behind; if that is lost, the guest asks when it is back.
            awaitsSnapshot = true
            return []
        }
    }

    private func end(_ end: SignedEnd) -> [Action] {
        signedEnd = end
        return acknowledge()
    }

    // MARK: The person

    /// Everything given out so far has reached the screen (or the pipe).
    package func shown() -> [Action] {
        unacknowledged >= Self.acknowledgeEvery ? acknowledge() : []
    }

    /// Also after a rekey: the last acknowledgement may have been lost, and the host may wait for it.
    private func acknowledge() -> [Action] {
        guard welcome?.lossless == true, let channel, let opener else { return [] }
        unacknowledged = 0
        return [.frame(channel.seal(.acknowledge(sequence: opener.lastVerified)))]
    }

    /// Sends it, or keeps it until the host is back.
    package func typed(_ bytes: [UInt8]) -> [Action] {
        guard canType else { return [] }
        let dropped = input.typed(bytes)
        return lose(dropped) + sendInput()
    }

    /// Sends what the host's credit allows. Before the welcome the host takes nothing.
    private func sendInput() -> [Action] {
        var actions: [Action] = []
        while welcome != nil, let channel, let bytes = input.next(), let frame = try? channel.sealInput(bytes) {
            actions.append(.frame(frame))
        }
        return actions + (input.changedPace().map { [.pace(reading: $0)] } ?? [])
    }

    /// Counts the host's confirmations of input.
    package private(set) var confirmations = 0

    /// Bytes that the host has not confirmed yet.
    package var unconfirmedInput: Int { input.unconfirmedBytes }

    /// Bytes that were typed and did not arrive, and that the person has not been seen to know of. Until then nothing more is typed.
    package private(set) var lostInput = 0

    package var inputIsHeld: Bool { lostInput > 0 }

    /// The person has seen that input was lost, and goes on.
    package func continueInput() { lostInput = 0 }

    /// Once the host has let this guest in, also while it is away or lets it in again.
    package var canType: Bool { permission == .control && (welcome != nil || hasScreen) && !inputIsHeld }
}
