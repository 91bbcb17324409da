import NIOCore
import Telemetry
import Wire

/// How messages go out.
///
/// Broadcast frames of one read batch are framed into one buffer, and every guest is handed that same buffer: one write
/// and one flush per guest and batch.
extension LiveRoom {
    /// Whoever gets broadcasts, so that a batch need not look through all seats.
    struct Audience {
        /// Peers that take frames as they are.
        var direct: [PeerHandler] = []
        /// Peers that do not.
        var others: [Slot] = []
    }

    func forward(_ frame: ByteBuffer, from sender: Slot, to slot: Slot, _ kind: PeerOutbox.Kind) {
        guard let link = links[slot] else { return }
        bytesRelayed += frame.readableBytes
        let message = FramedMessage.binary(frame)
        if link.dialect == .frames {
            link.deliver(message.bytes, kind)
        } else if let text = asText(message, from: sender, for: link.dialect) {
            link.deliver(text, kind)
        }
    }

    /// Hands the batch out. A write that fails may bring the last words of the peer that it was for, and with them more to hand
    /// out: that goes behind, to everybody.
    func flushBatch(_ now: NIODeadline = .now()) {
        if isFlushing { return }
        isFlushing = true
        while !batch.isEmpty { handOut(now) }
        isFlushing = false
    }

    private func handOut(_ now: NIODeadline) {
        joinUntil = now + RelayConfiguration.joinTime
        let start = ContinuousClock.now
        defer { metrics.relaySeconds.record(since: start) }
        let frames = batch.take()
        let bytes = frames.bytes
        metrics.framesReceived.add(frames.count)
        metrics.bytesReceived.add(bytes.readableBytes)
        let delivered = bytes.readableBytes * max(0, links.count - (links[FrameHeader.hostSlot] == nil ? 0 : 1))
        metrics.bytesDelivered.add(delivered)
        bytesRelayed += delivered
        room.ring.append(.frames(frames))
        let audience = self.audience ?? gather()
        for peer in audience.direct { peer.deliver(bytes, .broadcast) }
        if audience.others.isEmpty { return }
        var texts = SpokenBatch(frames)
        for slot in audience.others {
            guard let link = links[slot] else { continue }
            if behind[slot] != nil {
                catchUp(slot, link, frames)
            } else {
                texts.lines(for: link.dialect, asText).forEach { link.deliver($0, .broadcast) }
            }
        }
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

    /// What the host sends again after a restart, from where this guest had heard it.
    private func catchUp(_ slot: Slot, _ link: PeerLink, _ frames: BroadcastBatch) {
        guard let last = behind[slot], let rest = frames.after(last) else { return }
        behind[slot] = nil
        // The host has forgotten some of it: only a snapshot helps.
        guard rest.firstSequence == last + 1 else { return link.peer.fellBehind() }
        deliver(.frames(rest), to: link)
    }

    /// Broadcasts in the form that a guest understands.
    func deliver(_ broadcasts: ResumeRing.Entry, to link: PeerLink) {
        if case .frames(let batch) = broadcasts { bytesRelayed += batch.bytes.readableBytes }
        switch broadcasts {
        case .text(let event, _): if let framed = link.dialect.framed(event) { link.deliver(framed.bytes, .broadcast) }
        case .frames(let batch) where link.dialect == .frames: link.deliver(batch.bytes, .broadcast)
        case .frames(let batch):
            var texts = SpokenBatch(batch)
            texts.lines(for: link.dialect, asText).forEach { link.deliver($0, .broadcast) }
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

    func tellGuests(_ event: ServerMessage) {
        var message = SpokenMessage(event)
        for (slot, link) in links where slot != FrameHeader.hostSlot {
            if let bytes = message.bytes(for: link.dialect) { link.deliver(bytes, .control) }
        }
    }
}
