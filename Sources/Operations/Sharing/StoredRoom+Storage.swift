public import Relay
public import Storage

extension StoredRoom {
    public init(_ stored: StoredSeats) {
        self.init(
            sessionId: stored.sessionId, timeLimit: stored.endsAt.map { TimeLimit(endsAt: $0, plan: stored.plan) },
            bytesRelayed: stored.bytesRelayed, host: stored.host, guests: stored.guests)
    }
}
