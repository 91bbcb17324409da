public import NIOCore
import Wire

/// Bounds of the relay, each with its unit and its reason.
public struct RelayConfiguration: Sendable {
    /// How long a room waits for a host whose connection dropped, before the session ends.
    public var hostReturn: TimeAmount = .minutes(5)
    /// How long a guest's seat is kept after its connection dropped.
    public var guestReturn: TimeAmount = .minutes(2)
    /// Broadcast frames kept for peers that resume, in bytes per room: ten seconds of a busy terminal.
    var ringBytes = 2 << 20
    /// Bytes that may be queued for one peer inside the relay: a whole ring, and as much again while it is being sent.
    var outboxBytes = 4 << 20
    /// Bytes that may be queued for all peers together. Above it each peer may queue only ``crowdedOutboxBytes``: slow
    /// guests fall behind earlier, and get a snapshot when they read again.
    var allOutboxesBytes = 128 << 20
    /// Bytes that may be queued for one peer while the server is crowded: a few snapshots.
    static let crowdedOutboxBytes = 1 << 20

    /// After a broadcast is sent, later ones are held this long, unless their number or size reaches the limit first.
    /// The interval is far below what a person notices and below the time between two messages of a busy terminal, and
    /// long enough that one write carries many messages.
    static let coalesceInterval: TimeAmount = .microseconds(100)
    /// Burst credit: after a pause, up to this much ``coalesceInterval`` may be used at once, so that a few consecutive
    /// broadcasts are sent without delay.
    static let coalesceBurst: TimeAmount = .microseconds(800)
    static let flushBytes = 16 << 10
    static let flushCount = 16
    /// Bytes per second that one guest may send, and the burst that is allowed: a large paste. A guest that exceeds
    /// this is closed, so that it cannot fill the host's queue.
    static let guestBytesPerSecond = 1 << 20
    static let guestBurstBytes = 2 << 20
    /// Bytes of socket writes in flight per peer: above `high` the relay queues, below `low` it sends again.
    static let writeWaterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 256 << 10)
    /// Messages a peer may send while its join is being answered. A client waits for the answer, so one is plenty.
    static let messagesWhileJoining = 16
    /// Total size of those messages, in bytes: one message of the largest size.
    static let bytesWhileJoining = WireLimits.messageBytes
    /// How long a peer may take to answer our close frame before the socket is closed.
    static let closeGrace: TimeAmount = .seconds(2)
    /// The same at the end of a session, when up to a whole outbox must first be sent over a slow connection.
    static let leaveGrace: TimeAmount = .seconds(60)

    /// A join takes less than this from the check of its credential until it is in its room. After that, a revocation
    /// finds the peer in the room.
    static let revocationTime: TimeAmount = .seconds(10)
    /// Revocations kept within that time. Further ones are applied only to the peers that are already in rooms.
    static let revocationsKept = 1000
    /// How long before the end of a timed session its participants are warned: enough to finish a thought.
    static let endWarning: TimeAmount = .minutes(2)

    public init() {}
}
