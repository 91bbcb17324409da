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
    /// What may wait for one peer inside the relay, in bytes: a whole ring, and as much again while it is being sent.
    var outboxBytes = 4 << 20
    /// What may wait for all peers together, in bytes. Above it a peer's share is ``crowdedOutboxBytes``: slow guests fall behind earlier, and
    /// get a snapshot when they read again.
    var allOutboxesBytes = 128 << 20
    /// A peer's share while the server is crowded, in bytes: a few snapshots.
    static let crowdedOutboxBytes = 1 << 20

    /// After broadcasts went out, the next ones wait for each other this long, until they are so many or so long: far below what
    /// a person notices and below the time between two messages of a busy terminal, and long enough that one write carries many.
    static let coalesceInterval: TimeAmount = .microseconds(100)
    /// Burst credit: after a pause, up to this much ``coalesceInterval`` may be used at once, so that a few broadcasts in a row go out without
    /// delay.
    static let coalesceBurst: TimeAmount = .microseconds(800)
    static let flushBytes = 16 << 10
    static let flushCount = 16
    /// What one guest may send, in bytes per second, and how much of that at once: a large paste. Above it the guest is
    /// closed, so that it cannot fill the host's queue.
    static let guestBytesPerSecond = 1 << 20
    static let guestBurstBytes = 2 << 20
    /// Socket writes in flight per peer: above `high` we queue, below `low` we send on, in bytes.
    static let writeWaterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 128 << 10, high: 256 << 10)
    /// Messages a peer may send while its join is being answered. A client waits for the answer, so one is plenty.
    static let messagesWhileJoining = 16
    /// What those messages may hold together, in bytes: one message of the largest size.
    static let bytesWhileJoining = WireLimits.messageBytes
    /// How long a peer gets to answer our close frame, before the socket is closed.
    static let closeGrace: TimeAmount = .seconds(2)
    /// The same at the end of a session, when up to a whole outbox goes out first over a slow line.
    static let leaveGrace: TimeAmount = .seconds(60)

    /// A join takes less than this from the look at its credential until it is in its room; afterwards revoking finds it there.
    static let revocationTime: TimeAmount = .seconds(10)
    /// Within that time, at most; more are found by the rooms alone.
    static let revocationsKept = 1000
    /// Before a timed session ends, its people are warned: long enough to finish a thought.
    static let endWarning: TimeAmount = .minutes(2)

    public init() {}
}
