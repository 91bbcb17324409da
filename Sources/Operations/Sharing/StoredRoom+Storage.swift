public import Relay
public import Storage
import Wire

extension StoredRoom {
    public init(_ stored: StoredSeats) {
        self.init(
            sessionId: stored.sessionId, timeLimit: stored.endsAt.map { TimeLimit(endsAt: $0, plan: stored.plan) },
            bytesRelayed: stored.bytesRelayed, host: stored.host.map(Seat.init), guests: stored.guests.map(Seat.init))
    }
}

extension StoredRoom.Seat {
    fileprivate init(_ seat: StoredSeats.Seat) {
        self.init(
            slot: Slot(clamping: seat.slot), peerId: seat.peerId, userId: seat.userId, username: seat.username,
            publicKey: seat.publicKey, permission: seat.permission, resumeDigest: seat.resumeDigest,
            credentialId: seat.credentialId, organisationId: seat.organisationId)
    }
}
