import NIOCore

/// Messages that are queued for one peer because its socket is full. The queue is bounded by bytes: a slow guest loses
/// its broadcasts here instead of delaying other guests.
///
/// Binary broadcasts are usable only after a snapshot. A guest therefore gets none until the host has sent it one (kind
/// 3), and none from when it fell behind until the next.
struct PeerOutbox {
    enum Kind: Sendable {
        /// Answers, events, pairwise frames: never dropped.
        case control
        /// A frame of the host's binary broadcast.
        case broadcast
        /// The state that later broadcasts build on.
        case snapshot
    }

    enum Verdict: Equatable {
        /// Send now: nothing is queued and the socket is writable.
        case send
        case queued
        case dropped
        /// The queued broadcasts were dropped: tell the peer to ask the host for a snapshot.
        case fellBehind
        /// More control messages than the limit: close the peer.
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
    ///   - capacity: less than the outbox's own capacity if too much is queued for all peers together.
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

    /// Drops broadcasts until the next snapshot.
    mutating func awaitSnapshot() { _ = dropBroadcasts() }

    mutating func next() -> ByteBuffer? {
        guard let entry = entries.popFirst() else { return nil }
        queuedBytes -= entry.bytes.readableBytes
        return entry.bytes
    }

    /// Removes all queued broadcasts and drops further ones until the next snapshot. Control messages keep their order.
    /// A queued snapshot is removed too, because the broadcasts after it are lost.
    private mutating func dropBroadcasts() -> Bool {
        let before = entries.count
        entries = CircularBuffer(entries.filter { $0.kind == .control })
        queuedBytes = entries.reduce(0) { $0 + $1.bytes.readableBytes }
        awaitsSnapshot = true
        return entries.count < before
    }
}
