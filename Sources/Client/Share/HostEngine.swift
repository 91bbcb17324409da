import EndToEnd
import NIOCore
import Terminal
import Wire

/// The host's side of a share as a state machine: events in, actions out, no socket, no terminal, no clock.
final class HostEngine {
    enum Timer: Hashable {
        /// Start the epoch that joins and leaves have asked for.
        case rotation
        /// Sign what has come since the last signature.
        case signature
        /// Send the snapshots that guests have asked for.
        case snapshots
        /// Forget guests that a relay which started anew does not announce again.
        case forget
        /// A guest's proof must be complete by then.
        case proof(peerId: String)
    }

    enum Action {
        case text(ClientMessageText)
        case frame(ByteBuffer)
        /// Bytes for the shared command.
        case type([UInt8])
        case start(Timer, milliseconds: Int64)
        case revoke(CodeName)
        /// Stop or go on reading the command's output (`--lossless`).
        case pace(reading: Bool)
        case notify(HostNotice)
    }

    struct Options {
        var title = ""
        var approve = false
        var lossless = false
    }

    /// Joins and leaves within this time share an epoch, in milliseconds.
    private static let rotationDelay: Int64 = 50
    /// Between two signatures while output flows, in milliseconds; less than a frame of a 60 Hz screen.
    private static let signEvery: Int64 = 5
    /// A guest gets at most one snapshot in this time, in milliseconds.
    private static let snapshotDelay: Int64 = 100
    /// A person has typed the words before the proof starts: what remains is two round trips, in milliseconds.
    private static let proofTime: Int64 = 30_000
    /// The relay announces everybody right behind its answer; far more than that takes, in milliseconds.
    private static let announceTime: Int64 = 2000
    /// Epoch keys kept for guests that were away.
    private static let epochsKept = 64

    let sessionId: String
    private let options: Options
    private(set) var codes: [CodeName: CodeSecrets]
    private var guests: [String: HostGuest] = [:]
    private var sealer: BroadcastSealer
    private var epochs: [(epoch: UInt32, key: [UInt8])]
    private var sent = SentFrames()
    private var pacing = Pacing()
    private(set) var screen: Screen
    private var timers: Set<Timer> = []
    /// False while there is no connection, or it takes no more: then nothing is sealed, and guests get a snapshot later.
    private var uplinkOpen = false
    private var hasSkipped = false
    /// Guests from before a relay started anew that it has not announced again.
    private var unannounced: Set<String> = []

    init(sessionId: String, codes: [CodeSecrets], options: Options, rows: Int, columns: Int) {
        self.sessionId = sessionId
        self.options = options
        self.codes = Dictionary(uniqueKeysWithValues: codes.map { ($0.code, $0) })
        sealer = BroadcastSealer(sessionId: sessionId)
        epochs = [(sealer.epoch, sealer.epochKey)]
        screen = Screen(rows: rows, columns: columns)
    }

    /// Everybody who has proved a secret, by the order of arrival.
    var people: [HostGuest] { guests.values.filter { $0.pairing != nil }.sorted { $0.slot < $1.slot } }

    private var admitted: [HostGuest] { guests.values.filter(\.isAdmitted) }

    /// The host's terminal starts with lines that guests must not see (the codes). Their screens start as many lines
    /// lower, so that every row stands where the shared programs think it is.
    func leaveRoom(for banner: String) {
        var measured = Screen(rows: screen.rows, columns: screen.columns)
        measured.feed(Array(banner.utf8))
        screen.feed(Array(String(repeating: "\n", count: measured.cursor.row).utf8))
    }

    // MARK: The command

    /// A burst of the command's output.
    func output(_ bytes: [UInt8]) -> [Action] {
        screen.feed(bytes)
        guard !admitted.isEmpty else { return [] }
        guard uplinkOpen || options.lossless else {
            hasSkipped = true
            return []
        }
        var actions: [Action] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            actions += broadcast(.output(Array(rest.prefix(WireLimits.outputChunkBytes))))
            rest = rest.dropFirst(WireLimits.outputChunkBytes)
        }
        return actions + pace()
    }

    /// The burst is over: what was sent is signed, so that guests show it. At once after a pause, as when somebody types;
    /// within ``signEvery`` when one burst follows the other: checking a signature costs a guest more than opening 4 KiB.
    func outputPaused() -> [Action] {
        guard sealer.hasUnsigned, !timers.contains(.signature) else { return [] }
        return sign() + start(.signature, Self.signEvery)
    }

    private func sign() -> [Action] { frames(sealer.sign()) }

    func resized(rows: Int, columns: Int) -> [Action] {
        screen.resize(rows: rows, columns: columns)
        guard !admitted.isEmpty else { return [] }
        guard uplinkOpen || options.lossless else {
            hasSkipped = true
            return []
        }
        return broadcast(.size(rows: UInt16(screen.rows), columns: UInt16(screen.columns))) + sign()
    }

    func exited(status: Int32) -> [Action] {
        let last = admitted.isEmpty ? [] : broadcast(.exited(status: UInt32(bitPattern: status))) + sign()
        return last + [.text(ClientMessageText(type: "endSession"))]
    }

    // MARK: The connection

    /// The relay gave the seat back. Whoever is in the room is announced again, and rekeys.
    /// - Parameter fromSequence: the next broadcast that the relay expects; nil when the numbering starts anew.
    func connected(fromSequence: UInt64?) -> [Action] {
        uplinkOpen = true
        for guest in guests.values { guest.isConnected = false }
        guard let fromSequence, let missing = sent.from(fromSequence, next: sealer.lastSequence + 1) else {
            // The relay knows none of the old frames: everybody goes on from a snapshot.
            sent.removeAll()
            admitted.forEach { $0.needsSnapshot = true }
            unannounced = Set(guests.keys)
            return (unannounced.isEmpty ? [] : start(.forget, Self.announceTime)) + pace()
        }
        return missing.map { .frame($0) } + catchUp() + pace()
    }

    func disconnected() -> [Action] {
        uplinkOpen = false
        return pace()
    }

    func uplink(takesMore: Bool) -> [Action] {
        uplinkOpen = takesMore
        return takesMore ? catchUp() : []
    }

    /// After output was skipped everybody needs a snapshot.
    private func catchUp() -> [Action] {
        guard hasSkipped else { return [] }
        hasSkipped = false
        admitted.forEach { $0.needsSnapshot = true }
        return sendSnapshots()
    }

    // MARK: Events of the relay

    func received(_ message: ServerMessage) -> [Action] {
        switch message.type {
        case .guestJoined: return joined(message)
        case .peerDisconnected: return left(message)
        case .peerReturned:
            message.peerId.flatMap { guests[$0] }?.isConnected = true
            return []
        case .keyExchange:
            guard let peerId = message.fromPeerId, let guest = guests[peerId], let payload = message.payload,
                let handshake = try? HandshakeMessage(payload: payload)
            else { return [] }
            return shakeHands(guest, handshake)
        default: return []
        }
    }

    private func joined(_ message: ServerMessage) -> [Action] {
        guard let peerId = message.peerId, let slot = message.slot else { return [] }
        unannounced.remove(peerId)
        if let known = guests[peerId] {
            known.isConnected = true
            return []
        }
        // A relay that started anew hands slots out anew; frames for the slot's old guest must not reach the new one.
        for old in guests.values where old.slot == slot { guests[old.peerId] = nil }
        guests[peerId] = HostGuest(peerId: peerId, slot: slot, username: message.username ?? "somebody")
        return []
    }

    private func left(_ message: ServerMessage) -> [Action] {
        guard let peerId = message.peerId, let guest = guests[peerId] else { return [] }
        guest.isConnected = false
        if message.mayReturnUntil != nil { return [] }
        guests[peerId] = nil
        var actions: [Action] = []
        if guest.pairing != nil { actions.append(.notify(.guestLeft(peerId: peerId, name: guest.title))) }
        if guest.isAdmitted { actions += start(.rotation, Self.rotationDelay) + pace() }
        return actions
    }

    private func shakeHands(_ guest: HostGuest, _ message: HandshakeMessage) -> [Action] {
        switch message {
        case .hello(let kind, _, let name): return offer(guest, message, kind, name)
        case .proof(let point, let confirmation): return check(guest, point, confirmation)
        case .rekey(let key, let tag): return rekey(guest, key, tag)
        case .offer, .accept, .reject, .rekeyed: return []
        }
    }

    private func offer(_ guest: HostGuest, _ hello: HandshakeMessage, _ kind: UInt8, _ name: CodeName) -> [Action] {
        guard let secrets = codes[name], let secret = secrets.secret(kind: kind) else {
            return [reply(guest, .reject(.unknownCode))]
        }
        if secrets.isDead { return [reply(guest, .reject(.codeDead))] }
        guard
            let handshake = try? HostHandshake(
                hello: hello, sessionId: sessionId, permission: secrets.permission, secret: secret)
        else { return [] }
        // Counted from the start: breaking off is no way to guess for nothing.
        codes[name]?.proofStarted()
        guest.stage = .proving(handshake, name)
        return [reply(guest, handshake.offer)] + start(.proof(peerId: guest.peerId), Self.proofTime)
    }

    private func check(_ guest: HostGuest, _ point: [UInt8], _ confirmation: [UInt8]) -> [Action] {
        guard case .proving(let handshake, let name) = guest.stage else { return [] }
        guest.stage = .stranger
        guard let (pairing, accept) = try? handshake.receive(point: point, confirmation: confirmation) else {
            var actions: [Action] = [
                reply(guest, .reject(.wrongSecret)), .notify(.wrongSecret(name: guest.title, code: name)),
            ]
            if codes[name]?.isDead == true { actions += [.revoke(name), .notify(.codeDied(name))] }
            return actions
        }
        codes[name]?.proofSucceeded()
        guest.pairing = pairing
        guest.generation = 0
        let channel = pairing.channel()
        guest.channel = channel
        if options.approve {
            guest.stage = .waiting
            return [reply(guest, accept), .frame(channel.seal(.approvalPending, to: guest.slot))]
        }
        return [reply(guest, accept)] + admit(guest)
    }

    /// The host's person said yes or no to a guest that waits.
    func decide(peerId: String, admit yes: Bool) -> [Action] {
        guard let guest = guests[peerId], case .waiting = guest.stage else { return [] }
        return yes ? admit(guest) : [reply(guest, .reject(.notApproved)), kick(peerId)]
    }

    func kick(_ peerId: String) -> Action {
        var message = ClientMessageText(type: "kick")
        message.peerId = peerId
        return .text(message)
    }

    private func admit(_ guest: HostGuest) -> [Action] {
        guest.stage = .admitted
        guest.needsSnapshot = true
        // The epoch that its arrival starts; nothing sealed before opens for it.
        guest.firstEpoch = sealer.epoch + 1
        guest.acknowledged = sealer.lastSequence
        return welcome(guest) + start(.rotation, Self.rotationDelay)
    }

    private func rekey(_ guest: HostGuest, _ key: [UInt8], _ tag: [UInt8]) -> [Action] {
        guard let pairing = guest.pairing,
            let (channel, answer) = try? pairing.answerRekey(key: key, tag: tag, generation: guest.generation + 1)
        else { return [] }
        guest.generation += 1
        guest.channel = channel
        guest.isConnected = true
        if case .waiting = guest.stage {
            return [reply(guest, answer), .frame(channel.seal(.approvalPending, to: guest.slot))]
        }
        guard guest.isAdmitted else { return [reply(guest, answer)] }
        var actions = [reply(guest, answer)] + welcome(guest)
        for known in epochs where known.epoch >= guest.firstEpoch {
            actions.append(.frame(channel.seal(.epochKey(epoch: known.epoch, key: known.key), to: guest.slot)))
        }
        if guest.needsSnapshot { actions += start(.snapshots, 0) }
        return actions
    }

    private func welcome(_ guest: HostGuest) -> [Action] {
        let welcome = DirectMessage.Welcome(
            signingKey: sealer.signingKey, lossless: options.lossless, title: options.title)
        return guest.channel.map { [.frame($0.seal(.welcome(welcome), to: guest.slot))] } ?? []
    }

    private func reply(_ guest: HostGuest, _ message: HandshakeMessage) -> Action {
        var text = ClientMessageText(type: "keyExchange")
        text.targetPeerId = guest.peerId
        text.payload = message.payload
        return .text(text)
    }

    // MARK: Frames of guests

    func received(_ frame: ByteBuffer) -> [Action] {
        guard let header = try? FrameHeader(peeking: frame),
            let guest = guests.values.first(where: { $0.slot == header.slot }), let channel = guest.channel
        else { return [] }
        do {
            switch try channel.openFromGuest(frame) {
            case .input(let bytes):
                guard guest.isAdmitted else { return [] }
                return [.type(bytes), .notify(.typing(peerId: guest.peerId, name: guest.title))]
            case .feedback(let message): return feedback(guest, message)
            }
        } catch EndToEndError.staleGeneration {
            // On its way when the keys changed; the guest will say it again or not.
            return []
        } catch {
            return [.notify(.tampering(name: guest.title, what: error.description))]
        }
    }

    private func feedback(_ guest: HostGuest, _ message: FeedbackMessage) -> [Action] {
        switch message {
        case .name(let name):
            let isNew = guest.name == nil
            guest.name = name.filter { $0 >= " " && $0 != "\u{7F}" }
            guard isNew else { return [] }
            if case .waiting = guest.stage {
                return [.notify(.guestAsks(peerId: guest.peerId, name: guest.title, permission: guest.permission))]
            }
            return [.notify(.guestJoined(peerId: guest.peerId, name: guest.title, permission: guest.permission))]
        case .acknowledge(let sequence):
            guest.acknowledged = max(guest.acknowledged, min(sequence, sealer.lastSequence))
            return pace()
        case .snapshotPlease:
            guard guest.isAdmitted else { return [] }
            guest.needsSnapshot = true
            return start(.snapshots, Self.snapshotDelay)
        }
    }

    // MARK: Timers

    func fired(_ timer: Timer) -> [Action] {
        timers.remove(timer)
        switch timer {
        case .rotation: return rotate()
        case .signature: return outputPaused()
        case .snapshots: return sendSnapshots()
        case .forget:
            let gone = unannounced.compactMap { guests.removeValue(forKey: $0) }
            unannounced.removeAll()
            return gone.filter { $0.pairing != nil }.map { .notify(.guestLeft(peerId: $0.peerId, name: $0.title)) }
                + pace()
        case .proof(let peerId):
            // The failed proof stays counted; the seat goes to somebody else.
            guard let guest = guests[peerId], case .proving(_, let name) = guest.stage else { return [] }
            guest.stage = .stranger
            return [kick(peerId)] + (codes[name]?.isDead == true ? [.revoke(name), .notify(.codeDied(name))] : [])
        }
    }

    private func start(_ timer: Timer, _ milliseconds: Int64) -> [Action] {
        timers.insert(timer).inserted ? [.start(timer, milliseconds: milliseconds)] : []
    }

    private func rotate() -> [Action] {
        var actions = frames(sealer.startEpoch())
        epochs.append((sealer.epoch, sealer.epochKey))
        if epochs.count > Self.epochsKept { epochs.removeFirst() }
        for guest in admitted where guest.isConnected {
            guard let channel = guest.channel else { continue }
            actions.append(
                .frame(channel.seal(.epochKey(epoch: sealer.epoch, key: sealer.epochKey), to: guest.slot)))
        }
        return actions + sendSnapshots()
    }

    private func sendSnapshots() -> [Action] {
        // A guest whose epoch has not begun gets its snapshot when it does.
        let waiting = admitted.filter { $0.needsSnapshot && $0.isConnected && $0.firstEpoch <= sealer.epoch }
        guard !waiting.isEmpty, uplinkOpen || options.lossless else { return [] }
        var actions = sign()
        let output = screen.isPristine ? [] : screen.snapshot()
        let snapshot = DirectMessage.Snapshot(
            sequence: sealer.lastSequence, runningHash: sealer.runningHash, rows: UInt16(screen.rows),
            columns: UInt16(screen.columns), output: output)
        for guest in waiting {
            guest.needsSnapshot = false
            guest.acknowledged = max(guest.acknowledged, sealer.lastSequence)
            if let channel = guest.channel { actions.append(.frame(channel.seal(.snapshot(snapshot), to: guest.slot))) }
        }
        return actions + pace()
    }

    private func broadcast(_ message: BroadcastMessage) -> [Action] { frames(sealer.seal(message)) }

    private func frames(_ sealed: [ByteBuffer]) -> [Action] {
        for frame in sealed {
            sent.append(frame)
            if options.lossless { pacing.sent(frame.readableBytes) }
        }
        return sealed.map { .frame($0) }
    }

    private func pace() -> [Action] {
        guard options.lossless else { return [] }
        let slowest = admitted.map(\.acknowledged).min() ?? sealer.lastSequence
        return pacing.update(slowest: slowest, newest: sealer.lastSequence, connected: uplinkOpen).map {
            [.pace(reading: $0)]
        } ?? []
    }
}
