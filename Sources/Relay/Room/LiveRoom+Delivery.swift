import NIOCore
import Telemetry
import Wire

/// Outbound messages of a room.
///
/// The broadcast frames of one read batch are framed into one buffer, and every guest is sent that same buffer: one
/// write and one flush per guest and batch.
extension LiveRoom {
    /// The receivers of broadcasts, cached so that a batch need not look through all seats.
    struct Audience {
        /// Peers that take frames as they are.
        var direct: [PeerHandler] = []
        /// Peers that need another form.
        var others: [Slot] = []
    }

    func forward(_ frame: ByteBuffer, from sender: Slot, to slot: Slot, _ kind: PeerOutbox.Kind) {
        guard let link = links[slot] else { return }
        let message = FramedMessage.binary(frame)
        if link.dialect == .frames {
            hand(message.bytes, to: link.peer, kind)
        } else if let text = asText(message, from: sender, for: link.dialect) {
            hand(text, to: link.peer, kind)
        }
    }

    /// Delivers bytes that count towards the organisation's usage. They are counted before delivery, so that a kill in
    /// between cannot lose them.
    private func hand(_ bytes: ByteBuffer, to peer: PeerHandler, _ kind: PeerOutbox.Kind) {
        byteCounter?.add(bytes.readableBytes)
        if peer.deliver(bytes, kind) {
            metrics.bytesDelivered.add(bytes.readableBytes)
        } else {
            byteCounter?.add(-bytes.readableBytes)
        }
    }

    /// Sends the batch. Calls from inside return at once: a write that fails can trigger reads that append to the batch, and the loop sends
    /// those next.
    func flushBatch(_ now: NIODeadline = .now()) {
        if isFlushing { return }
        isFlushing = true
        while !batch.isEmpty { handOut(now) }
        isFlushing = false
    }

    private func handOut(_ now: NIODeadline) {
        pacing.left(now)
        let start = ContinuousClock.now
        defer { metrics.deliverySeconds.record(since: start) }
        let frames = batch.take()
        let bytes = frames.bytes
        metrics.framesReceived.add(frames.count)
        metrics.bytesReceived.add(bytes.readableBytes)
        room.ring.append(.frames(frames))
        let audience = self.audience ?? gather()
        handOut(bytes, to: audience.direct)
        if audience.others.isEmpty { return }
        var texts = SpokenBatch(frames)
        for slot in audience.others {
            guard let link = links[slot] else { continue }
            if behind[slot] != nil {
                catchUp(slot, link, frames)
            } else {
                texts.lines(for: link.dialect, asText).forEach { hand($0, to: link.peer, .broadcast) }
            }
        }
    }

    /// Subtracts bytes that were counted and not delivered.
    func uncount(_ bytes: Int) { byteCounter?.add(-bytes) }

    /// Like ``hand(_:to:_:)`` for many peers, counted once.
    private func handOut(_ bytes: ByteBuffer, to peers: [PeerHandler]) {
        byteCounter?.add(bytes.readableBytes * peers.count)
        var missed = 0
        for peer in peers where !peer.deliver(bytes, .broadcast) { missed += 1 }
        if missed > 0 { byteCounter?.add(-bytes.readableBytes * missed) }
        metrics.bytesDelivered.add(bytes.readableBytes * (peers.count - missed))
    }

    private func gather() -> Audience {
        var found = Audience()
        for (slot, link) in links where slot != FrameHeader.hostSlot {
            if link.dialect == .frames && behind[slot] == nil {
                found.direct.append(link.peer)
            } else {
                found.others.append(slot)
            }
        }
        audience = found
        return found
    }

    /// After a restart, delivers what the host sends again, from where this guest had stopped.
    private func catchUp(_ slot: Slot, _ link: PeerLink, _ frames: BroadcastBatch) {
        guard let last = behind[slot], let rest = frames.after(last) else { return }
        behind[slot] = nil
        // The host no longer has some of it, so the guest needs a snapshot.
        guard rest.firstSequence == last + 1 else { return link.peer.fellBehind() }
        deliver(.frames(rest), to: link)
    }

    /// Delivers broadcasts in the form that a guest understands.
    func deliver(_ broadcasts: ResumeRing.Entry, to link: PeerLink) {
        switch broadcasts {
        case .text(let event, _):
            if let framed = link.dialect.framed(event) { hand(framed.bytes, to: link.peer, .broadcast) }
        case .frames(let batch) where link.dialect == .frames: hand(batch.bytes, to: link.peer, .broadcast)
        case .frames(let batch):
            var texts = SpokenBatch(batch)
            texts.lines(for: link.dialect, asText).forEach { hand($0, to: link.peer, .broadcast) }
        }
    }

    private func asText(_ message: FramedMessage, _ dialect: PeerDialect) -> ByteBuffer? {
        asText(message, from: FrameHeader.hostSlot, for: dialect)
    }

    /// A binary frame for a peer that speaks only JSON: the payload in base64, the header's fields beside it.
    private func asText(
        _ message: FramedMessage, from sender: Slot, for dialect: PeerDialect
    ) -> ByteBuffer? {
        var payload = message.payload
        guard let header = try? FrameHeader(peeking: payload), let member = room.member(sender) else { return nil }
        payload.moveReaderIndex(forwardBy: FrameHeader.size)
        return dialect.framed(
            .relayData(header: header, payload: payload, userId: member.userId, peerId: member.peerId))?.bytes
    }

    /// Sends a message of a peer that speaks JSON to others, in the dialect of each.
    func pass(_ event: ServerMessage, to slots: [Slot]) {
        var message = SpokenMessage(event)
        for slot in slots {
            guard let link = links[slot], let bytes = message.bytes(for: link.dialect) else { continue }
            hand(bytes, to: link.peer, .control)
        }
    }

    func tellGuests(_ event: ServerMessage) {
        var message = SpokenMessage(event)
        for (slot, link) in links where slot != FrameHeader.hostSlot {
            if let bytes = message.bytes(for: link.dialect) { link.deliver(bytes, .control) }
        }
    }
}
