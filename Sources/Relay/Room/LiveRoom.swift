import NIOCore
import Telemetry
import WebSocket
import Wire

/// A room at work: carries out what ``Room`` decides. Confined to one event loop.
///
/// Broadcast frames of one read batch are framed into one buffer, and every guest is handed that same buffer: one write
/// and one flush per guest and batch, and one hop per other loop.
final class LiveRoom {
    private(set) var room: Room
    private let loop: any EventLoop
    /// Both live as long as the server does.
    private let relay: RelayServer
    private let authority: any RelayAuthority
    private let configuration: RelayConfiguration
    private let metrics: ServerMetrics
    /// The room has moved there; whoever still comes here is sent on.
    private var movedTo: (any EventLoop)?
    private var links: [Slot: PeerLink] = [:]
    private var allowances: [Slot: PeerAllowance] = [:]
    private var batch = BroadcastBatch()
    /// Until then broadcasts wait for more of their kind.
    private var joinUntil = NIODeadline.uptimeNanoseconds(0)
    private var isJoining = false
    /// Guests of a room that came back from the disk, and how far each has heard: they get no frame twice.
    private var behind: [Slot: UInt64] = [:]

    init(sessionId: String, loop: any EventLoop, relay: RelayServer) {
        room = Room(sessionId: sessionId)
        self.loop = loop
        self.relay = relay
        authority = relay.authority
        configuration = relay.configuration
        metrics = relay.metrics
    }

    // MARK: Coming and going

    func restore(_ stored: StoredRoom) {
        let (room, actions) = Room.restored(stored)
        self.room = room
        carryOut(actions)
    }

    func expectHost() { carryOut(room.expectHost()) }

    func joinHost(_ admission: HostAdmission, link: PeerLink, ack: MessageId?) {
        if sendOn(link, ack, { $0.joinHost(admission, link: link, ack: ack) }) { return }
        if room.isUntouched, link.loop !== loop {
            // To where its host is: what the host says then crosses no thread on its way in.
            movedTo = link.loop
            relay.move(room.sessionId, to: link.loop)
            _ = sendOn(link, ack) { $0.joinHost(admission, link: link, ack: ack) }
            return
        }
        if room.hasEnded { return refuse(link, ack, "Session has ended") }
        flushBatch()
        let previous = links[FrameHeader.hostSlot]
        let (attachment, actions) = room.hostJoined(
            admission, resumeToken: admission.resumeToken, ack: ack)
        behind.removeAll()
        take(FrameHeader.hostSlot, attachment, link, awaitsSnapshot: false)
        carryOut(actions, replaced: previous)
    }

    func joinGuest(_ admission: GuestAdmission, publicKey: String, link: PeerLink, ack: MessageId?) {
        if sendOn(link, ack, { $0.joinGuest(admission, publicKey: publicKey, link: link, ack: ack) }) { return }
        flushBatch()
        let joined =
            room.hasEnded
            ? nil
            : room.guestJoined(
                admission, publicKey: publicKey, resumeToken: admission.resumeToken, ack: ack)
        guard let (slot, actions) = joined else {
            let authority = self.authority
            Task { await authority.seatGivenUp(peerId: admission.peerId) }
            return refuse(link, ack, "Session has ended")
        }
        take(slot, 0, link, awaitsSnapshot: true)
        carryOut(actions)
    }

    func resume(token: String, lastSequence: UInt64?, link: PeerLink, ack: MessageId?) {
        if sendOn(link, ack, { $0.resume(token: token, lastSequence: lastSequence, link: link, ack: ack) }) { return }
        flushBatch()
        guard !room.hasEnded, let found = room.resume(token: token, lastSequence: lastSequence, ack: ack) else {
            return refuse(link, ack, room.hasEnded ? "Session has ended" : "Resume window passed")
        }
        let previous = links[found.slot]
        take(found.slot, found.attachment, link, awaitsSnapshot: found.awaitsSnapshot)
        behind[found.slot] = found.skipsTo
        carryOut(found.actions, replaced: previous)
        found.replay.forEach { deliver($0, to: link) }
    }

    func disconnected(slot: Slot, attachment: Int, deliberate: Bool) {
        flushBatch()
        if links[slot]?.attachment == attachment {
            links[slot] = nil
            allowances[slot] = nil
        }
        carryOut(room.disconnected(slot: slot, attachment: attachment, deliberate: deliberate))
    }

    /// The owner ended the session elsewhere, and that is durable.
    func ended(_ reason: SessionEnd) {
        if passOn({ $0.ended(reason) }) { return }
        let actions = room.end(reason)
        if !actions.isEmpty { announceEnd(reason) }
    }

    func goAway(reconnectInMilliseconds: Int) {
        if passOn({ $0.goAway(reconnectInMilliseconds: reconnectInMilliseconds) }) { return }
        flushBatch()
        var notice = ServerMessage(.goingAway)
        notice.reconnectInMilliseconds = reconnectInMilliseconds
        var message = SpokenMessage(notice)
        for link in links.values {
            if let bytes = message.bytes(for: link.dialect) { link.deliver(bytes, .control) }
            link.close(code: CloseCode.goingAway, reason: "the server is stopping; reconnect")
        }
    }

    /// False where the room is here.
    private func sendOn(
        _ link: PeerLink, _ ack: MessageId?, _ body: @escaping @Sendable (LiveRoom) -> Void
    ) -> Bool {
        guard let movedTo else { return false }
        let (relay, sessionId) = (self.relay, room.sessionId)
        // Behind the move itself, which was begun there before.
        movedTo.execute {
            guard let room = relay.find(sessionId) else { return link.run { $0.refused(ack, "Session has ended") } }
            room.run(body)
        }
        return true
    }

    /// The same for what is nobody's request.
    private func passOn(_ body: @escaping @Sendable (LiveRoom) -> Void) -> Bool {
        guard let movedTo else { return false }
        let (relay, sessionId) = (self.relay, room.sessionId)
        movedTo.execute { relay.find(sessionId)?.run(body) }
        return true
    }

    private func take(_ slot: Slot, _ attachment: Int, _ link: PeerLink, awaitsSnapshot: Bool) {
        links[slot] = link.attached(as: attachment)
        let seat = Seat(room: RoomReference(self, loop: loop), slot: slot, attachment: attachment)
        link.run { $0.seated(seat, awaitsSnapshot: awaitsSnapshot) }
    }

    private func refuse(_ link: PeerLink, _ ack: MessageId?, _ error: String) {
        link.run { $0.refused(ack, error) }
    }

    // MARK: Messages

    /// A binary message. Call ``readComplete()`` after the last of a read.
    func receive(_ message: WebSocketMessage, from slot: Slot, attachment: Int) {
        guard let link = links[slot], link.attachment == attachment else { return }
        let index = batch.stage(message)
        let header: FrameHeader
        do { header = try FrameHeader(peeking: batch.bytes, at: index) } catch {
            _ = batch.takeStaged()
            return link.close(code: CloseCode.badMessage, reason: error.description)
        }
        let verdict = room.accept(header, from: slot)
        if verdict == .broadcast { return batch.keep(header.sequence) }
        let frame = batch.takeStaged()
        switch verdict {
        case .broadcast, .drop: break
        case .toGuest(let target):
            flushBatch()
            forward(frame, from: slot, to: target, header.kind == .snapshot ? .snapshot : .control)
        case .toHost:
            guard spend(frame.readableBytes, slot, link) else { return }
            var frame = frame
            FrameHeader.setSlot(slot, of: &frame)
            forward(frame, from: slot, to: FrameHeader.hostSlot, .control)
        case .refuse(let message): link.say(.warning(code: "read_only", message))
        case .violation(let error): link.close(code: CloseCode.badMessage, reason: error.description)
        }
    }

    /// Broadcasts leave at once after a pause, and then together: a host that sends without a pause costs as many writes as
    /// there are joins, not as it makes messages.
    func readComplete() {
        guard !batch.isEmpty else { return }
        let now = NIODeadline.now()
        let isLarge =
            batch.count >= RelayConfiguration.joinCount || batch.bytes.readableBytes >= RelayConfiguration.joinBytes
        if now >= joinUntil || isLarge { return flushBatch(now) }
        guard !isJoining else { return }
        isJoining = true
        let reference = RoomReference(self, loop: loop)
        loop.scheduleTask(deadline: joinUntil) {
            reference.run { live in
                live.isJoining = false
                live.flushBatch()
            }
        }
    }

    /// A text message of a seated peer.
    func receive(_ message: ClientMessage, ack: MessageId?, from slot: Slot, attachment: Int) {
        guard let link = links[slot], link.attachment == attachment, let sender = room.member(slot) else { return }
        flushBatch()
        let isHost = slot == FrameHeader.hostSlot
        switch message {
        case .relay(let data, let nonce, let target):
            if !isHost && sender.permission != .control { return answer(link, ack, "Read-only permission") }
            guard isHost || spend(data.utf8.count, slot, link) else { return }
            answer(link, ack)
            relay(data, nonce, from: sender, to: target)
        case .keyExchange(let target, let publicKey, let payload):
            guard isHost || spend(WireLimits.handshakeBytes, slot, link) else { return }
            let receivers = isHost ? guests(target) : [FrameHeader.hostSlot]
            let present = receivers.compactMap { links[$0] }
            guard !present.isEmpty else { return answer(link, ack, "Not connected") }
            var event = ServerMessage(.keyExchange)
            event.fromUserId = sender.userId
            event.fromPeerId = sender.peerId
            event.publicKey = publicKey
            event.payload = payload
            present.forEach { $0.say(event) }
            answer(link, ack)
        case .kick(let peerId):
            guard isHost else { return answer(link, ack, "Only the host can do that") }
            guard let actions = room.kick(peerId: peerId) else { return answer(link, ack, "No such guest") }
            answer(link, ack)
            carryOut(actions)
        case .endSession:
            guard isHost else { return answer(link, ack, "Only the host can do that") }
            carryOut(room.end(.hostEnded), ackWhenEnded: (link, ack))
        case .joinAsHost, .joinAsGuest, .resume: answer(link, ack, "Already connected to a session")
        }
    }

    private func relay(_ data: String, _ nonce: String, from sender: Room.Member, to target: MessageTarget?) {
        var event = ServerMessage(.relayData)
        event.from = sender.slot == FrameHeader.hostSlot ? "host" : "guest"
        event.fromUserId = sender.userId
        event.fromPeerId = sender.peerId
        event.encryptedData = data
        event.nonce = nonce
        guard sender.slot == FrameHeader.hostSlot else {
            return links[FrameHeader.hostSlot].map { $0.say(event) } ?? ()
        }
        if let target { return guests(target).compactMap { links[$0] }.forEach { $0.say(event) } }
        let sequence = room.numberTextBroadcast()
        behind.removeAll()
        event.sequence = sequence
        room.ring.append(.text(event, sequence: sequence))
        // Not `.broadcast`: only binary broadcasts wait for a snapshot. A peer that cannot keep up with these is closed.
        tellGuests(event)
    }

    /// Guests that send more than a person can type or paste are closed before they fill the host's queue.
    private func spend(_ bytes: Int, _ slot: Slot, _ link: PeerLink) -> Bool {
        var allowance =
            allowances[slot]
            ?? PeerAllowance(
                perSecond: RelayConfiguration.guestBytesPerSecond, burst: RelayConfiguration.guestBurstBytes,
                now: .now())
        let isWithin = allowance.spend(bytes, now: .now())
        allowances[slot] = allowance
        if !isWithin {
            link.close(
                code: CloseCode.rateLimited,
                reason: "a guest sends at most \(RelayConfiguration.guestBytesPerSecond) bytes per second")
        }
        return isWithin
    }

    private func guests(_ target: MessageTarget?) -> [Slot] {
        switch target {
        case .none: []
        case .peer(let id): room.guests.values.filter { $0.peerId == id }.map(\.slot)
        case .user(let id): room.guests.values.filter { $0.userId == id }.map(\.slot)
        }
    }

    // MARK: Delivery

    private func forward(_ frame: ByteBuffer, from sender: Slot, to slot: Slot, _ kind: PeerOutbox.Kind) {
        guard let link = links[slot] else { return }
        let message = FramedMessage.binary(frame)
        if link.dialect == .frames {
            link.deliver(message.bytes, kind)
        } else if let text = asText(message, from: sender, for: link.dialect) {
            link.deliver(text, kind)
        }
    }

    private func flushBatch(_ now: NIODeadline = .now()) {
        guard !batch.isEmpty else { return }
        joinUntil = now + RelayConfiguration.joinTime
        let start = ContinuousClock.now
        defer { metrics.relaySeconds.record(since: start) }
        let frames = batch.take()
        let bytes = frames.bytes
        metrics.framesReceived.add(frames.count)
        metrics.bytesReceived.add(bytes.readableBytes)
        metrics.bytesDelivered.add(
            bytes.readableBytes * max(0, links.count - (links[FrameHeader.hostSlot] == nil ? 0 : 1)))
        room.ring.append(.frames(frames))
        var elsewhere: [ObjectIdentifier: [PeerLink]] = [:]
        for (slot, link) in links where slot != FrameHeader.hostSlot {
            if behind[slot] != nil {
                catchUp(slot, link, frames)
            } else if link.dialect != .frames {
                deliver(.frames(frames), to: link)
            } else if link.loop === loop {
                link.deliver(bytes, .broadcast)
            } else {
                elsewhere[ObjectIdentifier(link.loop), default: []].append(link)
            }
        }
        for neighbours in elsewhere.values {
            neighbours[0].loop.execute { neighbours.forEach { $0.deliver(bytes, .broadcast) } }
        }
    }

    /// What the host sends again after a restart, from where this guest had heard it.
    private func catchUp(_ slot: Slot, _ link: PeerLink, _ frames: BroadcastBatch) {
        guard let last = behind[slot], let rest = frames.after(last) else { return }
        behind[slot] = nil
        // The host has forgotten some of it: only a snapshot helps.
        guard rest.firstSequence == last + 1 else { return link.run { $0.fellBehind() } }
        deliver(.frames(rest), to: link)
    }

    /// Broadcasts in the form that a guest understands.
    private func deliver(_ broadcasts: ResumeRing.Entry, to link: PeerLink) {
        switch broadcasts {
        case .text(let event, _): if let framed = link.dialect.framed(event) { link.deliver(framed.bytes, .broadcast) }
        case .frames(let batch) where link.dialect == .frames: link.deliver(batch.bytes, .broadcast)
        case .frames(let batch):
            for message in batch.messages {
                if let text = asText(message, for: link.dialect) { link.deliver(text, .broadcast) }
            }
        }
    }

    /// A binary frame for a peer that speaks only JSON: the payload in base64, the header's fields beside it.
    private func asText(
        _ message: FramedMessage, from sender: Slot = FrameHeader.hostSlot, for dialect: PeerDialect
    ) -> ByteBuffer? {
        var payload = message.payload
        guard let header = try? FrameHeader(peeking: payload), let member = room.member(sender) else { return nil }
        payload.moveReaderIndex(forwardBy: FrameHeader.size)
        return dialect.framed(
            .relayData(header: header, payload: payload, userId: member.userId, peerId: member.peerId))?.bytes
    }

    private func tellGuests(_ event: ServerMessage) {
        var message = SpokenMessage(event)
        for (slot, link) in links where slot != FrameHeader.hostSlot {
            if let bytes = message.bytes(for: link.dialect) { link.deliver(bytes, .control) }
        }
    }

    private func answer(_ link: PeerLink, _ ack: MessageId?, _ error: String? = nil) {
        link.say(.ack(ack, error: error))
    }

    // MARK: Actions

    private func carryOut(
        _ actions: [Room.Action], replaced: PeerLink? = nil, ackWhenEnded: (PeerLink, MessageId?)? = nil
    ) {
        for action in actions {
            switch action {
            case .send(let message, let slot): links[slot]?.say(dated(message, slot))
            case .sendToGuests(let message): tellGuests(dated(message, FrameHeader.hostSlot))
            case .close(let slot, let code, let reason):
                // A seat that changed hands closes its old connection, not the one that has just taken it.
                if let replaced {
                    replaced.close(code: code, reason: reason)
                } else {
                    links.removeValue(forKey: slot)?.close(code: code, reason: reason)
                }
            case .waitForHost(let waiting):
                after(configuration.hostReturn) { live in
                    if live.movedTo == nil { live.carryOut(live.room.hostWindowPassed(waiting: waiting)) }
                }
            case .waitForGuest(let slot, let attachment):
                after(configuration.guestReturn) {
                    $0.carryOut($0.room.guestWindowPassed(slot: slot, attachment: attachment))
                }
            case .giveUpSeat(let peerId):
                let authority = self.authority
                Task { await authority.seatGivenUp(peerId: peerId) }
            case .end(let reason): end(reason, ackWhenEnded)
            }
        }
    }

    /// The time by which somebody may return is known here and not to the rules.
    private func dated(_ message: ServerMessage, _ slot: Slot) -> ServerMessage {
        guard message.mayReturnUntil != nil else { return message }
        var dated = message
        let window = message.isHost == true ? configuration.hostReturn : configuration.guestReturn
        dated.mayReturnUntil = ISOTime.text(millisecondsFromNow: window.nanoseconds / 1_000_000)
        return dated
    }

    private func after(_ time: TimeAmount, _ body: @escaping @Sendable (LiveRoom) -> Void) {
        let reference = RoomReference(self, loop: loop)
        loop.scheduleTask(in: time) { reference.run(body) }
    }

    /// Durable first, then told.
    private func end(_ reason: SessionEnd, _ ack: (PeerLink, MessageId?)?) {
        let reference = RoomReference(self, loop: loop)
        let authority = self.authority
        let sessionId = room.sessionId
        Task {
            await authority.sessionEnded(sessionId: sessionId, reason: reason)
            reference.run { live in
                if let (link, id) = ack { live.answer(link, id) }
                live.announceEnd(reason)
            }
        }
    }

    private func announceEnd(_ reason: SessionEnd) {
        flushBatch()
        for link in links.values {
            link.say(.sessionEnded(reason: reason.rawValue))
            link.close(code: CloseCode.normal, reason: "the session has ended")
        }
        links.removeAll()
        // Timers hold the room for some minutes more; its memory need not wait for them.
        room.ring.removeAll()
        relay.ended(sessionId: room.sessionId)
    }
}
