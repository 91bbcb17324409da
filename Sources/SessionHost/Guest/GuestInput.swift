/// What a guest types, on its way to the shared command: sent within the host's credit, and remembered until the host confirms it.
///
/// Counts bytes from the pairing on. After a reconnect the host says how many it has accepted. Nothing is sent before that: whoever makes
/// a connection drop must not choose which keystrokes are left out.
package struct GuestInput {
    /// Bytes that may be unconfirmed. The host confirms every 20 ms, so that this is 0.8 MiB/s, below what the relay lets a guest send.
    package static let credit = 16 << 10
    /// Above this much waiting, nothing more is read from the person's terminal or pipe.
    package static let waitingBytes = 64 << 10
    /// A terminal is read while nothing moves, because its person must be able to leave. What is typed beyond so many bytes waiting is dropped,
    /// and said.
    package static let waitingLimit = 1 << 20

    private var waiting: [UInt8] = []
    private var sent: UInt64 = 0
    package private(set) var confirmed: UInt64 = 0
    /// Between a rekey and the host's word about the generations before it.
    private var awaitsCount = false
    private var isReading = true

    /// Bytes that were typed and that the host has not confirmed.
    package var unconfirmedBytes: Int { Int(clamping: sent - confirmed) + waiting.count }

    /// - Returns: bytes at the end that there was no room for.
    package mutating func typed(_ bytes: [UInt8]) -> Int {
        let kept = min(bytes.count, Self.waitingLimit - waiting.count)
        waiting += bytes.prefix(kept)
        return bytes.count - kept
    }

    /// The next piece to send, or nil when nothing waits, or nothing may be sent now.
    package mutating func next() -> [UInt8]? {
        let count = min(waiting.count, Self.credit - Int(clamping: sent - confirmed))
        guard !awaitsCount, count > 0 else { return nil }
        let piece = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        sent += UInt64(count)
        return piece
    }

    /// The connection is lost, the host is away, or keys are replaced: what is under way may be lost. A rekey follows, and then the count.
    package mutating func interrupt() { awaitsCount = true }

    /// The host has taken so many bytes since the pairing.
    /// - Returns: bytes that did not arrive, and what waited behind them: it is dropped, because it would follow a hole.
    package mutating func taken(_ total: UInt64) -> Int {
        // A host that confirms more than was sent confirms all of it.
        let total = min(total, sent)
        guard awaitsCount else {
            confirmed = max(confirmed, total)
            return 0
        }
        awaitsCount = false
        let lost = sent > total ? Int(clamping: sent - total) + waiting.count : 0
        if lost > 0 { waiting = [] }
        (sent, confirmed) = (total, total)
        return lost
    }

    /// The pairing is over, and with it the host's count.
    /// - Returns: bytes that nobody will confirm any more.
    package mutating func reset() -> Int {
        let lost = unconfirmedBytes
        (waiting, sent, confirmed, awaitsCount) = ([], 0, 0, false)
        return lost
    }

    /// - Returns: whether to read more from the person, where that changes.
    package mutating func changedPace() -> Bool? {
        let wanted = waiting.count < Self.waitingBytes
        guard wanted != isReading else { return nil }
        isReading = wanted
        return wanted
    }
}
