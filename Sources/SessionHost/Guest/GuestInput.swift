/// The input of a guest on its way to the shared command. It is sent within the host's credit, and counted until the
/// host confirms it.
///
/// Bytes are counted from the pairing on. After a reconnect the host reports how many it has accepted. Nothing is sent
/// before that: an attacker who makes a connection drop must not choose which keystrokes are lost.
package struct GuestInput {
    /// Maximum number of unconfirmed bytes. The host confirms every 20 ms, so this is 0.8 MiB/s, which is less than the
    /// relay lets a guest send.
    package static let credit = 16 << 10
    /// Above this many queued bytes, the person's terminal or pipe is not read.
    package static let waitingBytes = 64 << 10
    /// A terminal is read even while input is stalled, because its person must be able to leave. Input beyond this many
    /// queued bytes is dropped and reported.
    package static let waitingLimit = 1 << 20

    private var waiting: [UInt8] = []
    private var sent: UInt64 = 0
    package private(set) var confirmed: UInt64 = 0
    /// Whether a rekey was started and the host has not yet reported its count for the earlier generations.
    private var awaitsCount = false
    private var isReading = true

    /// Bytes that were typed and not yet confirmed by the host.
    package var unconfirmedBytes: Int { Int(clamping: sent - confirmed) + waiting.count }

    /// - Returns: the number of bytes at the end that did not fit.
    package mutating func typed(_ bytes: [UInt8]) -> Int {
        let kept = min(bytes.count, Self.waitingLimit - waiting.count)
        waiting += bytes.prefix(kept)
        return bytes.count - kept
    }

    /// The next piece to send; nil if nothing is queued, or nothing may be sent now.
    package mutating func next() -> [UInt8]? {
        let count = min(waiting.count, Self.credit - Int(clamping: sent - confirmed))
        guard !awaitsCount, count > 0 else { return nil }
        let piece = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        sent += UInt64(count)
        return piece
    }

    /// The connection is lost, the host is away, or keys are replaced: input in flight may be lost. A rekey follows,
    /// and then the host's count.
    package mutating func interrupt() { awaitsCount = true }

    /// The host has accepted this many bytes since the pairing.
    /// - Returns: bytes that did not arrive, including the bytes queued after them. Those are dropped, because they
    ///   would follow a gap.
    package mutating func taken(_ total: UInt64) -> Int {
        // If the host confirms more than was sent, everything counts as confirmed.
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

    /// The pairing has ended, and with it the host's count.
    /// - Returns: bytes that nobody will confirm any more.
    package mutating func reset() -> Int {
        let lost = unconfirmedBytes
        (waiting, sent, confirmed, awaitsCount) = ([], 0, 0, false)
        return lost
    }

    /// - Returns: whether to read more from the person; nil if that does not change.
    package mutating func changedPace() -> Bool? {
        let wanted = waiting.count < Self.waitingBytes
        guard wanted != isReading else { return nil }
        isReading = wanted
        return wanted
    }
}
