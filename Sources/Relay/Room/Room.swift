public import Model
import NIOCore
public import Wire

/// The rules of a room, as a pure state machine: who is in it, what each member may do, and what follows from each
/// event. ``LiveRoom`` carries out the actions.
public struct Room {
    public enum Action: Equatable {
        case send(ServerMessage, to: Slot)
        /// Sends to every connected guest.
        case sendToGuests(ServerMessage)
        /// Closes the peer's connection. What is queued for it is sent first.
        case close(Slot, code: UInt16, reason: String)
        /// After the return window, call ``hostWindowPassed(waiting:)`` with the number.
        case waitForHost(waiting: Int)
        /// After the return window, call ``guestWindowPassed(slot:attachment:)``.
        case waitForGuest(Slot, attachment: Int)
        case giveUpSeat(peerId: String, reason: KickReason?)
        /// The room is over: store that, tell every peer, close every connection.
        case end(SessionEnd)
    }

    /// Somebody who is in the room, either connected or expected back.
    struct Member {
        let slot: Slot
        let peerId: String
        /// For a guest without an account, this is its peer id: clients address people by it.
        let userId: String
        var hasAccount = true
        let username: String
        let publicKey: String
        let permission: Permission
        let resumeDigest: [UInt8]
        var credentialId: String?
        var organisationId: String?
        var isConnected = true
        /// Whether the host has sent this guest a frame, which shows that the guest knows the secret.
        var isProved = false
        /// Counts the member's connections, so that the end of an old one is not taken for the end of the new one.
        var attachment = 0
    }

    public let sessionId: String
    /// The host's seat, and whether the room is still open.
    private enum Stage {
        /// The host is expected, either for the first time (nil) or back. The room ends when the wait with this number
        /// has passed.
        case waiting(Member?, wait: Int)
        case hosted(Member)
        case ended(Member?)
    }

    private var stage = Stage.waiting(nil, wait: 0)
    /// Counts waits, so that the timer of an earlier one has no effect.
    private var waits = 0
    /// Counts the host's connections, including those of hosts whose sign-in was revoked.
    private var hostAttachments = 0
    var guests: [Slot: Member] = [:]
    var numbering = BroadcastNumbering()
    /// Whether the host encrypts in frames. Its frames then show which guests it knows.
    var hostSpeaksFrames = false
    var ring: ResumeRing

    /// The member that has the host's seat, either connected or expected back.
    var host: Member? {
        switch stage {
        case .waiting(let host, _), .ended(let host): host
        case .hosted(let host): host
        }
    }

    var isHosted: Bool { if case .hosted = stage { true } else { false } }

    var hasEnded: Bool { if case .ended = stage { true } else { false } }

    /// - Returns: the wait's number.
    private mutating func expect(_ host: Member?) -> Int {
        var host = host
        host?.isConnected = false
        waits += 1
        stage = .waiting(host, wait: waits)
        return waits
    }

    /// - Parameter ringBytes: of broadcasts kept for peers that resume.
    init(sessionId: String, ringBytes: Int = RelayConfiguration().ringBytes) {
        self.sessionId = sessionId
        ring = ResumeRing(capacity: ringBytes)
    }

    /// Restores the room as it was when the server stopped. Every seat is kept for a while, and nobody is connected.
    /// - Returns: the room and the resulting actions.
    static func restored(
        _ stored: StoredRoom, ringBytes: Int = RelayConfiguration().ringBytes
    ) -> (Room, [Action]) {
        var room = Room(sessionId: stored.sessionId, ringBytes: ringBytes)
        // The frames are lost: the host is asked to send them again.
        room.ring = ResumeRing(capacity: ringBytes, isIncomplete: true)
        let host = stored.host.map(Member.init(away:))
        room.hostAttachments = host?.attachment ?? 0
        var actions = [Action.waitForHost(waiting: room.expect(host))]
        for seat in stored.guests {
            let guest = Member(away: seat)
            room.guests[guest.slot] = guest
            actions.append(.waitForGuest(guest.slot, attachment: 0))
        }
        return (room, actions)
    }

    /// Whether nobody has joined yet.
    var isUntouched: Bool { host == nil && guests.isEmpty && !hasEnded }

    // MARK: Joining

    /// Makes an empty room wait for its host.
    public mutating func expectHost() -> [Action] {
        return [.waitForHost(waiting: expect(host))]
    }

    /// A host that joins takes the seat from the previous host. Its broadcasts start a new numbering.
    /// - Returns: the connection's number, and the resulting actions.
    mutating func hostJoined(_ admission: HostAdmission, resumeToken: String, ack: MessageId?) -> (Int, [Action]) {
        var actions: [Action] = []
        if case .hosted(let host) = stage {
            actions.append(
                .close(host.slot, code: CloseCode.replaced, reason: "another host connection replaced this one"))
        }
        hostAttachments += 1
        let host = Member(
            slot: FrameHeader.hostSlot, peerId: admission.peerId, userId: admission.userId,
            username: admission.username,
            publicKey: "", permission: .control, resumeDigest: ResumeToken.digest(resumeToken),
            credentialId: admission.credentialId, organisationId: admission.organisationId, attachment: hostAttachments)
        stage = .hosted(host)
        numbering = BroadcastNumbering()
        ring.removeAll()
        var answer = ServerMessage.ack(ack)
        answer.peerId = admission.peerId
        answer.resumeToken = resumeToken
        actions.append(.send(answer, to: FrameHeader.hostSlot))
        actions += guestReplay()
        // Also for the first host: guests may have joined before it.
        actions.append(.sendToGuests(peerReturned(isHost: true, admission.peerId, admission.userId)))
        return (hostAttachments, actions)
    }

    /// - Returns: the new guest's slot and the resulting actions; nil if the slot is taken or is the host's.
    mutating func guestJoined(
        _ admission: GuestAdmission, publicKey: String, resumeToken: String, ack: MessageId?
    ) -> (Slot, [Action])? {
        let slot = admission.slot
        guard slot != FrameHeader.hostSlot, guests[slot] == nil else { return nil }
        let guest = Member(
            slot: slot, peerId: admission.peerId, userId: admission.userId ?? admission.peerId,
            hasAccount: admission.userId != nil, username: admission.username, publicKey: publicKey,
            permission: admission.permission,
            resumeDigest: ResumeToken.digest(resumeToken), credentialId: admission.credentialId)
        guests[slot] = guest
        var answer = ServerMessage.ack(ack)
        answer.hostPublicKey = admission.hostPublicKey
        answer.permission = admission.permission
        answer.hostUsername = admission.hostUsername
        answer.sessionName = admission.sessionName
        answer.sessionId = admission.sessionId
        answer.peerId = admission.peerId
        answer.slot = slot
        answer.resumeToken = resumeToken
        var actions: [Action] = [.send(answer, to: slot)]
        if isHosted { actions.append(.send(Self.joined(guest), to: FrameHeader.hostSlot)) }
        return (slot, actions)
    }

    /// What a resuming peer gets: its seat, and the frames it missed.
    struct Resumption {
        let slot: Slot
        let attachment: Int
        let actions: [Action]
        /// To send after the acknowledgement.
        let replay: [ResumeRing.Entry]
        /// True if the guest asked only for its seat, and waits for a snapshot.
        let awaitsSnapshot: Bool
        /// In a room that was restored from disk: the guest has everything up to this sequence. It gets the host's
        /// later frames when the host has sent them again.
        var skipsTo: UInt64?
    }

    /// - Returns: nil if the token or the sequence is not (or no longer) valid.
    mutating func resume(token: String, lastSequence: UInt64?, ack: MessageId?) -> Resumption? {
        // These are digests of 256 random bits, so the timing of the comparison reveals nothing.
        let digest = ResumeToken.digest(token)
        if let host, host.resumeDigest == digest { return resumeHost(ack) }
        guard let guest = guests.values.first(where: { $0.resumeDigest == digest }) else { return nil }
        var missed: [ResumeRing.Entry] = []
        var skipsTo: UInt64?
        if let lastSequence {
            if let replay = ring.after(lastSequence, newest: newestSequence) {
                missed = replay
            } else if ring.isIncomplete && lastSequence >= newestSequence && lastSequence < BroadcastNumbering.limit {
                skipsTo = lastSequence
            } else {
                return nil
            }
        }
        var actions: [Action] = []
        if guest.isConnected {
            actions.append(.close(guest.slot, code: CloseCode.replaced, reason: "this seat was resumed elsewhere"))
        }
        guests[guest.slot]?.isConnected = true
        guests[guest.slot]?.attachment += 1
        var answer = ServerMessage.ack(ack)
        answer.fromSequence = (lastSequence ?? newestSequence) + 1
        answer.slot = guest.slot
        actions.append(.send(answer, to: guest.slot))
        if isHosted {
            actions.append(.send(peerReturned(isHost: false, guest.peerId, guest.userId), to: FrameHeader.hostSlot))
        } else {
            actions.append(.send(hostAway(host), to: guest.slot))
        }
        return Resumption(
            slot: guest.slot, attachment: guest.attachment + 1, actions: actions, replay: missed,
            awaitsSnapshot: lastSequence == nil, skipsTo: skipsTo)
    }

    private mutating func resumeHost(_ ack: MessageId?) -> Resumption? {
        guard var returning = host else { return nil }
        var actions: [Action] = []
        if returning.isConnected {
            actions.append(.close(returning.slot, code: CloseCode.replaced, reason: "this seat was resumed elsewhere"))
        }
        hostAttachments += 1
        returning.isConnected = true
        returning.attachment = hostAttachments
        stage = .hosted(returning)
        var answer = ServerMessage.ack(ack)
        // 0: the relay has no frames left, and accepts everything that the host still has.
        answer.fromSequence = ring.isIncomplete && !numbering.hasBegun ? 0 : newestSequence + 1
        actions.append(.send(answer, to: FrameHeader.hostSlot))
        actions += guestReplay()
        actions.append(.sendToGuests(peerReturned(isHost: true, returning.peerId, returning.userId)))
        return Resumption(
            slot: returning.slot, attachment: returning.attachment, actions: actions, replay: [], awaitsSnapshot: false)
    }

    // MARK: Leaving

    /// A connection ended.
    /// - Parameter deliberate: the peer closed with code 1000. A guest's seat is then freed at once; a host may still
    ///   return.
    public mutating func disconnected(slot: Slot, attachment: Int, deliberate: Bool) -> [Action] {
        if hasEnded { return [] }
        if slot == FrameHeader.hostSlot {
            guard case .hosted(let host) = stage, host.attachment == attachment else { return [] }
            return [.sendToGuests(hostAway(host)), .waitForHost(waiting: expect(host))]
        }
        guard let guest = guests[slot], guest.attachment == attachment, guest.isConnected else { return [] }
        guests[slot]?.isConnected = false
        if deliberate { return guestLeft(guest) }
        let notice = peerDisconnected(guest, mayReturn: true)
        return toHost(notice) + [.waitForGuest(slot, attachment: attachment)]
    }

    public mutating func hostWindowPassed(waiting: Int) -> [Action] {
        guard case .waiting(_, waiting) = stage else { return [] }
        return end(.hostGone)
    }

    public mutating func guestWindowPassed(slot: Slot, attachment: Int) -> [Action] {
        guard let guest = guests[slot], guest.attachment == attachment, !guest.isConnected else { return [] }
        return guestLeft(guest)
    }

    /// - Returns: nil if there is no such guest.
    mutating func kick(peerId: String, reason: KickReason? = nil) -> [Action]? {
        guard let guest = guests.values.first(where: { $0.peerId == peerId }) else { return nil }
        var actions: [Action] = []
        if guest.isConnected {
            actions.append(.close(guest.slot, code: CloseCode.notAllowed, reason: "the host removed you"))
        }
        return actions + guestLeft(guest, reason)
    }

    public mutating func end(_ reason: SessionEnd) -> [Action] {
        if hasEnded { return [] }
        stage = .ended(host)
        return [.end(reason)]
    }

    /// Takes the seat away from the host.
    /// - Returns: the number of the wait that begins if the host was connected.
    mutating func unseatHost() -> Int? {
        switch stage {
        case .hosted: return expect(nil)
        case .waiting(_, let wait):
            stage = .waiting(nil, wait: wait)
            return nil
        case .ended: return nil
        }
    }

    mutating func guestLeft(_ guest: Member, _ reason: KickReason? = nil) -> [Action] {
        guests[guest.slot] = nil
        // A guest that leaves on its own before it has proved the secret also counts: repeated joins could keep other guests out.
        // A host that speaks JSON proves nothing to the relay. A guest without an account that leaves before the host
        // is there counts too.
        let isUnproved = !guest.isProved && (isHosted ? hostSpeaksFrames : !guest.hasAccount)
        return toHost(peerDisconnected(guest, mayReturn: false))
            + [.giveUpSeat(peerId: guest.peerId, reason: reason ?? (isUnproved ? .unproved : nil))]
    }

    // MARK: Frames

    /// What to do with a binary frame.
    public enum FrameVerdict: Equatable {
        case broadcast
        case toGuest(Slot)
        case toHost
        /// The receiver is not connected (any more). This is not an error.
        case drop
        case refuse(String)
        /// The sender broke the protocol and is closed with 4400.
        case violation(MessageError)
    }

    public mutating func accept(_ header: FrameHeader, from slot: Slot) -> FrameVerdict {
        guard header.kind.isFromHost == (slot == FrameHeader.hostSlot) else {
            return .violation(MessageError("you may not send frame kind \(header.kind.rawValue)"))
        }
        switch header.kind {
        case .broadcast:
            guard !numbering.hasBegun || header.sequence == newestSequence + 1 else {
                return .violation(MessageError("broadcast \(header.sequence) does not follow \(newestSequence)"))
            }
            guard numbering.take(header.sequence) else {
                return .violation(MessageError("broadcasts must be numbered from 1 to 2^62"))
            }
            return .broadcast
        case .direct, .snapshot:
            guests[header.slot]?.isProved = true
            return guests[header.slot]?.isConnected == true ? .toGuest(header.slot) : .drop
        case .input:
            guard guests[slot]?.permission == .control else { return .refuse("Read-only permission") }
            return isHosted ? .toHost : .drop
        case .feedback: return isHosted ? .toHost : .drop
        }
    }

    /// The next number, for a broadcast that came as JSON.
    mutating func numberTextBroadcast() -> UInt64 {
        ring.beginAnew()
        return numbering.count()
    }

    /// The number of the last broadcast; 0 if there was none.
    var newestSequence: UInt64 { numbering.newest }

    func member(_ slot: Slot) -> Member? { slot == FrameHeader.hostSlot ? host : guests[slot] }
}

extension Room.Member {
    /// A member that is expected back.
    init(away seat: SeatRecord) {
        self.init(
            slot: Slot(clamping: seat.slot), peerId: seat.peerId, userId: seat.userId ?? seat.peerId,
            hasAccount: seat.userId != nil, username: seat.username,
            publicKey: seat.publicKey, permission: seat.permission, resumeDigest: seat.resumeDigest,
            credentialId: seat.credentialId, organisationId: seat.organisationId, isConnected: false)
        // The relay does not store whether a guest has proved the secret: a restored one counts as proved.
        isProved = true
    }
}

/// The numbering of a host's broadcasts: consecutive, starting with any number.
struct BroadcastNumbering {
    /// Broadcasts are numbered below this, which leaves enough numbers to count on indefinitely.
    static let limit: UInt64 = 1 << 62

    private(set) var newest: UInt64 = 0
    /// False until the host's first broadcast after `joinAsHost`.
    private(set) var hasBegun = false

    /// - Returns: false if this number is not the next one, or is not valid.
    mutating func take(_ sequence: UInt64) -> Bool {
        // 0 means that there was no broadcast yet.
        guard sequence > 0, sequence < Self.limit, !hasBegun || sequence == newest + 1 else { return false }
        hasBegun = true
        newest = sequence
        return true
    }

    /// The next number, for a broadcast that comes without one.
    mutating func count() -> UInt64 {
        hasBegun = true
        newest += 1
        return newest
    }
}
