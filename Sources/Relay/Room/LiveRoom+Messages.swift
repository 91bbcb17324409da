import Model
import NIOCore
import Telemetry
import WebSocket
import Wire

/// Inbound messages of a room.
extension LiveRoom {
    /// Takes the frames of a read, up to the first message that is not a frame. Call ``readComplete()`` after the last
    /// message of a read.
    /// - Returns: that message; nil if the read has no more.
    /// - Throws: as the reader does.
    func receive(
        _ reader: inout WebSocketReader, from slot: Slot, attachment: Int
    ) throws(WebSocketError) -> WebSocketMessage? {
        guard links[slot]?.attachment == attachment else { return try reader.next() }
        guard slot == FrameHeader.hostSlot else {
            while let message = try reader.next() {
                guard message.kind == .binary else { return message }
                receive(message.payload, from: slot, attachment: attachment)
            }
            return nil
        }
        // Hot path: the state that it changes is kept in local variables, and looked up once for all frames of the
        // read.
        var (batch, numbering) = borrow()
        defer { returnBorrowed(&batch, numbering) }
        // Not tried again after a message that is no broadcast: frames for one guest also come in series.
        var isBroadcasting = true
        while true {
            if isBroadcasting {
                batch.append(from: &reader) { $0.kind == .broadcast && numbering.take($0.sequence) }
            }
            guard let message = try reader.next() else { return nil }
            guard message.kind == .binary else { return message }
            // Messages that were split between two reads, and messages that are no broadcast.
            let index = batch.stage(message)
            if let header = try? FrameHeader(peeking: batch.bytes, at: index), header.kind == .broadcast,
                numbering.take(header.sequence)
            {
                batch.keep(header.sequence)
                isBroadcasting = true
                continue
            }
            isBroadcasting = false
            let frame = batch.takeStaged()
            returnBorrowed(&batch, numbering)
            receive(frame, from: slot, attachment: attachment)
            (batch, numbering) = borrow()
            // The peer may have been closed: after a protocol violation nothing more is accepted from it.
            if links[slot]?.attachment != attachment { return try reader.next() }
        }
    }

    private func borrow() -> (BroadcastBatch, BroadcastNumbering) {
        var lent = BroadcastBatch()
        swap(&lent, &batch)
        return (lent, room.numbering)
    }

    private func returnBorrowed(_ lent: inout BroadcastBatch, _ numbering: BroadcastNumbering) {
        swap(&lent, &batch)
        room.numbering = numbering
    }

    /// Takes a single frame.
    func receive(_ frame: ByteBuffer, from slot: Slot, attachment: Int) {
        guard let link = links[slot], link.attachment == attachment else { return }
        let header: FrameHeader
        do { header = try FrameHeader(peeking: frame) } catch {
            return link.close(code: CloseCode.badMessage, reason: error.description)
        }
        switch room.accept(header, from: slot) {
        case .broadcast: batch.append(frame, header.sequence)
        case .drop: break
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

    /// Sends broadcasts at once after a pause, and otherwise in batches. If the host sends continuously, the number of
    /// writes depends on the batches and not on its messages. See ``BroadcastPacing``.
    func readComplete() {
        guard !batch.isEmpty else { return }
        let now = NIODeadline.now()
        let isLarge =
            batch.count >= RelayConfiguration.flushCount || batch.bytes.readableBytes >= RelayConfiguration.flushBytes
        if pacing.isDue(now) || isLarge { return flushBatch(now) }
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.assumeIsolated().scheduleTask(deadline: pacing.next) {
            self.isFlushScheduled = false
            self.flushBatch()
        }
    }

    /// Takes a text message of a seated peer.
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
        case .kick(let peerId, let reason):
            guard isHost else { return answer(link, ack, "Only the host can do that") }
            guard let actions = room.kick(peerId: peerId, reason: reason) else {
                return answer(link, ack, "No such guest")
            }
            answer(link, ack)
            carryOut(actions)
        case .endSession:
            guard isHost else { return answer(link, ack, "Only the host can do that") }
            end(link, ack)
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
        guard sender.slot == FrameHeader.hostSlot else { return pass(event, to: [FrameHeader.hostSlot]) }
        // The host understands frames but sends text, so its frames do not show which guests it knows.
        room.hostSpeaksFrames = false
        if let target { return pass(event, to: guests(target)) }
        let sequence = room.numberTextBroadcast()
        behind.removeAll()
        event.sequence = sequence
        room.ring.append(.text(event, sequence: sequence))
        // Not `.broadcast`: only binary broadcasts wait for a snapshot. A peer that cannot keep up with these is closed.
        pass(event, to: links.keys.filter { $0 != FrameHeader.hostSlot })
    }

    /// Closes guests that send more than a person can type or paste, before they fill the host's queue.
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
                reason: "a guest may send at most \(RelayConfiguration.guestBytesPerSecond) bytes per second")
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

    private func answer(_ link: PeerLink, _ ack: MessageId?, _ error: String? = nil) {
        link.say(.ack(ack, error: error))
    }
}
