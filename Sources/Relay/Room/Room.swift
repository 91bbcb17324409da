public import Model
import NIOCore
public import Wire

/// The rules of a room, as a pure state machine: who is in it, what each may do, what follows from each event.
/// ``LiveRoom`` carries the actions out.
public struct Room {
    public enum Action: Equatable {
        case send(ServerMessage, to: Slot)
        /// To every guest that is connected.
        case sendToGuests(ServerMessage)
        /// The peer's connection is closed; what is queued for it goes out first.
        case close(Slot, code: UInt16, reason: String)
        /// After this time call ``hostWindowPassed(waiting:)`` with the number.
        case waitForHost(waiting: Int)
        /// After this time call ``guestWindowPassed(slot:attachment:)``.
        case waitForGuest(Slot, attachment: Int)
        case giveUpSeat(peerId: String, reason: KickReason?)
        /// The room is over: write it, tell everybody, close everything.
        case end(SessionEnd)
    }

    /// Somebody who is in the room, connected or expected back.
    struct Member {
        let slot: Slot
        let peerId: String
        /// A guest without an account has its peer id here: clients address people by it.
        let userId: String
        var hasAccount = true
        let username: String
        let publicKey: String
        let permission: Permission
        let resumeDigest: [UInt8]
        var credentialId: String?
        var organisationId: String?
        var isConnected = true
        /// The host has sent this guest a frame: it has shown that it knows the secret.
        var isProved = false
        /// Counts the member's connections, so that the end of an old one is not taken for the end of the new one.
        var attachment = 0
    }

    public let sessionId: String
    /// The host's seat, and whether the room goes on.
    private enum Stage {
        /// The host is expected: for the first time (nil), or back. The room ends when the wait with this number has passed.
        case waiting(Member?, wait: Int)
        case hosted(Member)
        case ended(Member?)
    }

    private var stage = Stage.waiting(nil, wait: 0)
    /// Counts waits, so that the timer of an earlier one means nothing.
    private var waits = 0
    /// Counts the host's connections, also over hosts whose sign-in was revoked.
    private var hostAttachments = 0
    var guests: [Slot: Member] = [:]
    var numbering = BroadcastNumbering()
    /// The host encrypts in frames, and so says by them which guests it knows.
    var hostSpeaksFrames = false
    var ring: ResumeRing

    /// Whoever has the host's seat, connected or expected back.
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

    /// The room as it was when the server stopped: everybody's seat is kept for a while, nobody is connected.
    /// - Returns: the room and what follows.
    static func restored(
        _ stored: StoredRoom, ringBytes: Int = RelayConfiguration().ringBytes
    ) -> (Room, [Action]) {
        var room = Room(sessionId: stored.sessionId, ringBytes: ringBytes)
        // The frames are gone: the host is asked to send them again.
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

    /// Nobody has been here yet.
    var isUntouched: Bool { host == nil && guests.isEmpty && !hasEnded }

    // MARK: Coming

    /// A room that nobody is in waits for its host from the start.
    public mutating func expectHost() -> [Action] {
        return [.waitForHost(waiting: expect(host))]
    }

    /// A host that joins anew takes the seat from whoever held it; its broadcasts start a new numbering.
    /// - Returns: the connection's number, and what follows.
    mutating func hostJoined(_ admission: HostAdmission, resumeToken: String, ack: MessageId?) -> (Int, [Action]) {
        var actions: [Action] = []
        if case .hosted(let host) = stage {
            actions.append(
                .close(host.slot, code: CloseCode.replaced, reason: "another host connection took this seat"))
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
        // Also the first time: guests may have been here before their host.
        actions.append(.sendToGuests(peerReturned(isHost: true, admission.peerId, admission.userId)))
        return (hostAttachments, actions)
    }

    /// - Returns: the new guest's slot, and what follows; nil when every slot is taken.
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

    /// What a peer that resumes is to get: its seat, and the frames it missed.
    struct Resumption {
        let slot: Slot
        let attachment: Int
        let actions: [Action]
        /// To send after the acknowledgement.
        let replay: [ResumeRing.Entry]
        /// True when the guest asked for its seat only, and waits for a snapshot.
        let awaitsSnapshot: Bool
        /// In a room that came back from the disk: the guest has everything up to here, and gets the host's frames from then
        /// on when the host has sent them again.
        var skipsTo: UInt64?
    }

    /// - Returns: nil when the token or the sequence is not (or no longer) good.
    mutating func resume(token: String, lastSequence: UInt64?, ack: MessageId?) -> Resumption? {
        // Digests of 256 random bits: how long a comparison takes tells nobody anything.
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
        // 0: the relay has nothing any more, and takes whatever the host still has.
        answer.fromSequence = ring.isIncomplete && !numbering.hasBegun ? 0 : newestSequence + 1
        actions.append(.send(answer, to: FrameHeader.hostSlot))
        actions += guestReplay()
        actions.append(.sendToGuests(peerReturned(isHost: true, returning.peerId, returning.userId)))
        return Resumption(
            slot: returning.slot, attachment: returning.attachment, actions: actions, replay: [], awaitsSnapshot: false)
    }

    // MARK: Going

    /// A connection ended.
    /// - Parameter deliberate: the peer closed with code 1000: a guest's seat is freed at once; a host may still come back.
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

    /// - Returns: nil when there is no such guest.
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

    /// Takes the host's seat away.
    /// - Returns: the number of the wait that begins where it was connected.
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
        // A host that speaks JSON proves nothing to the relay. Without an account, whoever leaves before the host is there has tried, too.
        let isUnproved = !guest.isProved && (isHosted ? hostSpeaksFrames : !guest.hasAccount)
        return toHost(peerDisconnected(guest, mayReturn: false))
            + [.giveUpSeat(peerId: guest.peerId, reason: reason ?? (isUnproved ? .unproved : nil))]
    }

    // MARK: Frames

    /// What becomes of a binary frame.
    public enum FrameVerdict: Equatable {
        case broadcast
        case toGuest(Slot)
        case toHost
        /// The receiver is not there (any more); nothing is wrong.
        case drop
        case refuse(String)
        /// The sender broke the protocol and is closed with 4400.
        case violation(MessageError)
    }

    public mutating func accept(_ header: FrameHeader, from slot: Slot) -> FrameVerdict {
        guard header.kind.isFromHost == (slot == FrameHeader.hostSlot) else {
            return .violation(MessageError("frame kind \(header.kind.rawValue) is not yours to send"))
        }
        switch header.kind {
        case .broadcast:
            guard !numbering.hasBegun || header.sequence == newestSequence + 1 else {
                return .violation(MessageError("broadcast \(header.sequence) does not follow \(newestSequence)"))
            }
            guard numbering.take(header.sequence) else {
                return .violation(MessageError("broadcasts are numbered from 1 to 2^62"))
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

    /// The number of the last broadcast; 0 when there was none.
    var newestSequence: UInt64 { numbering.newest }

    func member(_ slot: Slot) -> Member? { slot == FrameHeader.hostSlot ? host : guests[slot] }
}

extension Room.Member {
    /// Somebody who is expected back.
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

/// How a host's broadcasts follow each other: one by one, from whatever number it begins with.
struct BroadcastNumbering {
    /// Broadcasts are numbered below this, which leaves room to count on for ever.
    static let limit: UInt64 = 1 << 62

    private(set) var newest: UInt64 = 0
    /// False until the host's first broadcast after `joinAsHost`.
    private(set) var hasBegun = false

    /// - Returns: false where this number does not follow, or is none.
    mutating func take(_ sequence: UInt64) -> Bool {
        // 0 is "nothing yet".
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
