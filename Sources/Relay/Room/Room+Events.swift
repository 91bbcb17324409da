import Wire

/// The events that a room sends to its members.
extension Room {
    func guestReplay() -> [Action] {
        guests.values.sorted { $0.slot < $1.slot }.map { .send(Self.joined($0), to: FrameHeader.hostSlot) }
    }

    func toHost(_ message: ServerMessage) -> [Action] {
        isHosted ? [.send(message, to: FrameHeader.hostSlot)] : []
    }

    static func joined(_ guest: Member) -> ServerMessage {
        var event = ServerMessage(.guestJoined)
        event.peerId = guest.peerId
        event.slot = guest.slot
        event.userId = guest.userId
        event.username = guest.username
        event.hasAccount = guest.hasAccount ? nil : false
        event.guestPublicKey = guest.publicKey
        event.permission = guest.permission
        return event
    }

    func peerReturned(isHost: Bool, _ peerId: String, _ userId: String) -> ServerMessage {
        var event = ServerMessage(.peerReturned)
        event.peerId = peerId
        event.userId = userId
        event.isHost = isHost
        return event
    }

    func peerDisconnected(_ guest: Member, mayReturn: Bool) -> ServerMessage {
        var event = ServerMessage(.peerDisconnected)
        event.peerId = guest.peerId
        event.slot = guest.slot
        event.userId = guest.userId
        event.isHost = false
        // LiveRoom fills in the time: the rules have no clock.
        event.mayReturnUntil = mayReturn ? "" : nil
        return event
    }

    func hostAway(_ host: Member?) -> ServerMessage {
        var event = ServerMessage(.peerDisconnected)
        event.peerId = host?.peerId
        event.userId = host?.userId
        event.isHost = true
        event.mayReturnUntil = ""
        return event
    }
}
