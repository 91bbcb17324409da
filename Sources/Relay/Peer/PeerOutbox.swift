import NIOCore

/// What waits for one peer because its socket is full: bounded by bytes, and the place where a slow guest loses its
/// broadcasts instead of delaying anyone.
///
/// Binary broadcasts make sense only from a snapshot on, so that a guest gets none until the host has sent it one
/// (kind 3), and none after it fell behind until the next.
struct PeerOutbox {
    enum Kind: Sendable {
        /// Answers, events, pairwise frames: never dropped.
        case control
        /// A frame of the host's binary broadcast.
        case broadcast
        /// The state from which broadcasts make sense again.
        case snapshot
    }

    enum Verdict: Equatable {
        /// Send it now: nothing waits and the socket takes more.
        case send
        case queued
        case dropped
        /// The waiting broadcasts are gone: tell the peer to ask the host for a snapshot.
        case fellBehind
        /// More control messages than the bound: the peer must go.
        case overflowed
    }

    private let capacity: Int
    private var entries = CircularBuffer<(kind: Kind, bytes: ByteBuffer)>(initialCapacity: 0)
    private(set) var queuedBytes = 0
    private(set) var awaitsSnapshot: Bool

    /// - Parameters:
    ///   - capacity: in bytes.
    ///   - awaitsSnapshot: false for a host, and for a guest that resumes within the ring.
    init(capacity: Int, awaitsSnapshot: Bool) {
        self.capacity = capacity
        self.awaitsSnapshot = awaitsSnapshot
    }

    var isEmpty: Bool { entries.isEmpty }

    /// - Parameters:
    ///   - socketTakesMore: whether the channel is writable.
    ///   - capacity: less than its own where all peers together have too much waiting.
    mutating func offer(
        _ bytes: ByteBuffer, _ kind: Kind, socketTakesMore: Bool, capacity limit: @autoclosure () -> Int = .max
    ) -> Verdict {
        switch kind {
        case .broadcast where awaitsSnapshot: return .dropped
        case .snapshot: awaitsSnapshot = false
        default: break
        }
        if entries.isEmpty && socketTakesMore { return .send }
        let capacity = min(capacity, limit())
        entries.append((kind, bytes))
        queuedBytes += bytes.readableBytes
        if queuedBytes <= capacity { return .queued }
        return dropBroadcasts() && queuedBytes <= capacity ? .fellBehind : .overflowed
    }

    /// Broadcasts make no sense any more until the next snapshot.
    mutating func awaitSnapshot() { _ = dropBroadcasts() }

    mutating func next() -> ByteBuffer? {
        guard let entry = entries.popFirst() else { return nil }
        queuedBytes -= entry.bytes.readableBytes
        return entry.bytes
    }

    /// Everything that waits goes, and with it the right to broadcasts; control messages keep their order.
    /// A waiting snapshot goes too: the broadcasts that would follow it are lost.
    private mutating func dropBroadcasts() -> Bool {
        let before = entries.count
        entries = CircularBuffer(entries.filter { $0.kind == .control })
        queuedBytes = entries.reduce(0) { $0 + $1.bytes.readableBytes }
        awaitsSnapshot = true
        return entries.count < before
    }
}
