import Wire

/// Revoking the credentials of peers that are connected.
extension Room {
    private static let reason = "your sign-in or token was revoked"

    /// Frees the seats of these peers, which can no longer be resumed. After a revoked host, the session waits for its
    /// owner to return with a valid credential, and ends otherwise.
    mutating func revoke(_ peers: RevokedPeers) -> [Action] {
        if hasEnded { return [] }
        var actions: [Action] = []
        for guest in guests.values.filter({ $0.isMeant(by: peers) }).sorted(by: { $0.slot < $1.slot }) {
            if guest.isConnected {
                actions.append(.close(guest.slot, code: CloseCode.notSignedIn, reason: Self.reason))
            }
            actions += guestLeft(guest)
        }
        guard let host, host.isMeant(by: peers) else { return actions }
        if let wait = unseatHost() {
            actions.append(.close(FrameHeader.hostSlot, code: CloseCode.notSignedIn, reason: Self.reason))
            actions += [.sendToGuests(hostAway(host)), .waitForHost(waiting: wait)]
        }
        return actions
    }
}

extension Room.Member {
    fileprivate func isMeant(by peers: RevokedPeers) -> Bool {
        switch peers {
        case .credential(let id): credentialId == id
        case .user(let id): userId == id
        case .hostOf(let organisation, let user):
            slot == FrameHeader.hostSlot && organisationId == organisation && userId == user
        }
    }
}
