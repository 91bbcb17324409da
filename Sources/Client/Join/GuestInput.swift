/// What a guest types, on its way to the shared command: sent within the host's credit, and remembered until the host confirms it.
///
/// Counts bytes from the pairing on. After a reconnect the host says how many it has accepted; what was sent beyond is lost.
struct GuestInput {
    /// Bytes that may be unconfirmed: many times what a person types in the time of a round trip, and below what the relay lets a guest
    /// send at once.
    static let credit = 64 << 10
    /// Bytes in one frame.
    static let chunkBytes = 16 << 10
    /// Above this much waiting, nothing more is read from the person's terminal or pipe.
    static let waitingBytes = 64 << 10

    private var waiting: [UInt8] = []
    private var sent: UInt64 = 0
    private var confirmed: UInt64 = 0
    /// Sent since the last rekey; nil while the host's count of the generations before is known.
    private var sentSinceRekey: UInt64?
    private var isReading = true

    var unconfirmedBytes: Int { Int(clamping: sent - confirmed) + waiting.count }

    mutating func typed(_ bytes: [UInt8]) { waiting += bytes }

    /// The next piece to send, or nil when nothing waits or the credit is used up.
    mutating func next() -> [UInt8]? {
        let room = Self.credit - Int(clamping: sent - confirmed)
        let count = min(waiting.count, room, Self.chunkBytes)
        guard count > 0 else { return nil }
        let piece = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        sent += UInt64(count)
        sentSinceRekey = sentSinceRekey.map { $0 + UInt64(count) }
        return piece
    }

    /// The connection's keys are replaced: what is under way may be lost.
    mutating func interrupt() { sentSinceRekey = 0 }

    /// The host has taken so many bytes since the pairing.
    /// - Returns: bytes that were sent before the last rekey and never arrived.
    mutating func taken(_ total: UInt64) -> Int {
        guard let since = sentSinceRekey else {
            // A host that confirms more than was sent confirms all of it.
            confirmed = max(confirmed, min(total, sent))
            return 0
        }
        sentSinceRekey = nil
        let before = sent - since
        let lost = before > total ? before - total : 0
        sent = total + since
        confirmed = total
        return Int(clamping: lost)
    }

    /// - Returns: whether to read more from the person, where that changes.
    mutating func changedPace() -> Bool? {
        let wanted = waiting.count < Self.waitingBytes
        guard wanted != isReading else { return nil }
        isReading = wanted
        return wanted
    }
}
