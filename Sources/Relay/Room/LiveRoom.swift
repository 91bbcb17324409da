import Background
import Model
import NIOCore
import Telemetry
import WebSocket
import Wire

/// A running room: carries out what ``Room`` decides. Confined to one event loop, as all its peers are.
///
/// LiveRoom+Messages contains the inbound messages, LiveRoom+Delivery the outbound ones.
final class LiveRoom: Ticking {
    var room: Room
    let loop: any EventLoop
    /// Lives as long as the server does.
    private let relay: RelayServer
    let metrics: RelayMetrics
    private(set) var links: [Slot: PeerLink] = [:] {
        didSet { audience = nil }
    }
    /// Guests of a room that was restored from disk, and the last sequence that each has: no guest gets a frame twice.
    var behind: [Slot: UInt64] = [:] {
        didSet { audience = nil }
    }
    var audience: Audience?
    var allowances: [Slot: PeerAllowance] = [:]
    var batch = BroadcastBatch()
    var pacing = BroadcastPacing()
    var isFlushScheduled = false
    var isFlushing = false
    /// The host that asked to end the session. It gets its acknowledgement once the end is durable.
    private var whoEnds: (link: PeerLink, ack: MessageId?)?
    /// When the plan ends the session.
    var timeLimit: TimeLimit?
    /// Bytes sent to peers so far, for the ledger; nil once settled, because the slot may then belong to another room.
    private(set) var byteCounter: KeptCounters.Counter?
    /// Actions to run later: the end of a return window, the warning before the time limit, the time limit.
    private var scheduled: [(due: NIODeadline, body: (LiveRoom) -> Void)] = []

    init(sessionId: String, loop: any EventLoop, relay: RelayServer, byteCounter: KeptCounters.Counter) {
        self.byteCounter = byteCounter
        room = Room(sessionId: sessionId, ringBytes: relay.configuration.ringBytes)
        self.loop = loop
        self.relay = relay
        metrics = relay.metrics
    }

    var reference: RoomReference { RoomReference(self, loop: loop) }

    // MARK: Joining and leaving

    func restore(_ stored: StoredRoom) {
        let (room, actions) = Room.restored(stored, ringBytes: relay.configuration.ringBytes)
        self.room = room
        carryOut(actions)
        limit(stored.timeLimit)
    }

    func expectHost(_ timeLimit: TimeLimit?) {
        carryOut(room.expectHost())
        limit(timeLimit)
    }

    func joinHost(_ admission: HostAdmission, peer: PeerHandler, ack: MessageId?) {
        if room.hasEnded { return peer.refused(ack, "Session has ended") }
        flushBatch()
        let previous = links[FrameHeader.hostSlot]
        let (attachment, actions) = room.hostJoined(
            admission, resumeToken: admission.resumeToken, ack: ack)
        room.hostSpeaksFrames = peer.dialect == .frames
        behind.removeAll()
        take(FrameHeader.hostSlot, attachment, peer, awaitsSnapshot: false)
        carryOut(actions, replaced: previous)
        warnOfEnd(peer)
        applyRevocationsAndShutdown(to: peer)
    }

    func joinGuest(_ admission: GuestAdmission, publicKey: String, peer: PeerHandler, ack: MessageId?) {
        flushBatch()
        let joined =
            room.hasEnded
            ? nil
            : room.guestJoined(
                admission, publicKey: publicKey, resumeToken: admission.resumeToken, ack: ack)
        guard let (slot, actions) = joined else {
            let authority = relay.authority
            relay.background.run(isEssential: true) {
                await authority.seatGivenUp(peerId: admission.peerId, reason: nil)
            }
            return peer.refused(ack, "Session has ended")
        }
        take(slot, 0, peer, awaitsSnapshot: true)
        carryOut(actions)
        warnOfEnd(peer)
        applyRevocationsAndShutdown(to: peer)
    }

    func resume(token: String, lastSequence: UInt64?, peer: PeerHandler, ack: MessageId?) {
        flushBatch()
        guard !room.hasEnded, let found = room.resume(token: token, lastSequence: lastSequence, ack: ack) else {
            return peer.refused(ack, room.hasEnded ? "Session has ended" : "Resume window passed")
        }
        let previous = links[found.slot]
        if found.slot == FrameHeader.hostSlot { room.hostSpeaksFrames = peer.dialect == .frames }
        let link = take(found.slot, found.attachment, peer, awaitsSnapshot: found.awaitsSnapshot)
        behind[found.slot] = found.skipsTo
        carryOut(found.actions, replaced: previous)
        found.replay.forEach { deliver($0, to: link) }
        applyRevocationsAndShutdown(to: peer)
    }

    func disconnected(slot: Slot, attachment: Int, deliberate: Bool) {
        flushBatch()
        if links[slot]?.attachment == attachment {
            links[slot] = nil
            allowances[slot] = nil
        }
        carryOut(room.disconnected(slot: slot, attachment: attachment, deliberate: deliberate))
    }

    /// The session was ended outside the room: by its host, an administrator or an organisation. The database already records it.
    func ended(_ reason: SessionEnd) {
        let actions = room.end(reason)
        if !actions.isEmpty { announceEnd(reason) }
    }

    func goAway() {
        flushBatch()
        for link in links.values { applyRevocationsAndShutdown(to: link.peer) }
    }

    /// Called after every join and resume, and by ``goAway()`` for every peer: while a join was in progress, a
    /// credential may have been revoked, or the server may have been told to stop.
    private func applyRevocationsAndShutdown(to peer: PeerHandler) {
        for peers in relay.recentlyRevoked { revoke(peers) }
        if relay.isGoingAway { peer.goAway() }
    }

    @discardableResult
    private func take(_ slot: Slot, _ attachment: Int, _ peer: PeerHandler, awaitsSnapshot: Bool) -> PeerLink {
        let link = PeerLink(peer: peer, attachment: attachment)
        links[slot] = link
        peer.seated(Seat(room: self, slot: slot, attachment: attachment), awaitsSnapshot: awaitsSnapshot)
        return link
    }

    // MARK: Actions

    func carryOut(_ actions: [Room.Action], replaced: PeerLink? = nil) {
        for action in actions {
            switch action {
            case .send(let message, let slot): links[slot]?.say(dated(message, slot))
            case .sendToGuests(let message): tellGuests(dated(message, FrameHeader.hostSlot))
            case .close(let slot, let code, let reason):
                // If a seat changed hands, its old connection is closed, not the new one.
                if let replaced {
                    replaced.close(code: code, reason: reason)
                } else {
                    links.removeValue(forKey: slot)?.close(code: code, reason: reason)
                }
            case .waitForHost(let waiting):
                after(relay.configuration.hostReturn) { $0.carryOut($0.room.hostWindowPassed(waiting: waiting)) }
            case .waitForGuest(let slot, let attachment):
                after(relay.configuration.guestReturn) {
                    $0.carryOut($0.room.guestWindowPassed(slot: slot, attachment: attachment))
                }
            case .giveUpSeat(let peerId, let reason):
                let authority = relay.authority
                relay.background.run(isEssential: true) { await authority.seatGivenUp(peerId: peerId, reason: reason) }
            case .end(let reason): end(reason)
            }
        }
    }

    /// Fills in the time by which somebody may return. The rules have no clock.
    private func dated(_ message: ServerMessage, _ slot: Slot) -> ServerMessage {
        guard message.mayReturnUntil != nil else { return message }
        var dated = message
        let window = message.isHost == true ? relay.configuration.hostReturn : relay.configuration.guestReturn
        dated.mayReturnUntil = ISOTime.text(millisecondsFromNow: window.nanoseconds / 1_000_000)
        return dated
    }

    func after(_ time: TimeAmount, _ body: @escaping (LiveRoom) -> Void) {
        scheduled.append((.now() + time, body))
        relay.clock(of: loop).add(self)
    }

    func tick(_ now: NIODeadline) {
        let due = scheduled.filter { $0.due <= now }
        scheduled.removeAll { $0.due <= now }
        if scheduled.isEmpty { relay.clock(of: loop).remove(self) }
        due.forEach { $0.body(self) }
    }

    /// Ends the session at the host's request.
    func end(_ link: PeerLink, _ ack: MessageId?) {
        whoEnds = (link, ack)
        carryOut(room.end(.hostEnded))
    }

    /// Makes the end durable first, then announces it.
    private func end(_ reason: SessionEnd) {
        let (reference, authority, sessionId) = (self.reference, relay.authority, room.sessionId)
        relay.background.run(isEssential: true) {
            await authority.sessionEnded(sessionId: sessionId, reason: reason)
            reference.run { live in
                if let (link, ack) = live.whoEnds { link.say(.ack(ack)) }
                live.announceEnd(reason)
            }
        }
    }

    private func announceEnd(_ reason: SessionEnd) {
        flushBatch()
        let sentence = reason == .timeLimit ? timeLimit?.reason : nil
        for link in links.values {
            link.say(.sessionEnded(reason: reason.rawValue, message: sentence))
            link.close(code: CloseCode.normal, reason: sentence ?? "the session has ended")
        }
        settleByteCount()
        links.removeAll()
        whoEnds = nil
        scheduled.removeAll()
        relay.clock(of: loop).remove(self)
        relay.ended(sessionId: room.sessionId)
    }

    /// A count that could not be recorded stays in the file, where the next start finds it.
    private func settleByteCount() {
        let (authority, sessionId) = (relay.authority, room.sessionId)
        guard let counter = byteCounter else { return }
        byteCounter = nil
        let (counters, place, bytes) = (relay.byteCounters, counter.place, counter.value)
        relay.background.run(isEssential: true) {
            if bytes == 0 { return counters.close(place) }
            if await authority.recordRelayed(bytes: bytes, sessionId: sessionId) { counters.close(place) }
        }
    }
}
