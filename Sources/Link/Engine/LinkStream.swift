public import NIOCore

/// One stream of a link: bytes in both directions, each of which ends separately. It belongs to the engine's event
/// loop.
public final class LinkStream {
    public let id: UInt32
    /// The purpose of the stream.
    public let open: LinkOpen
    /// Handles this stream's events.
    public weak var owner: (any LinkStreamOwner)?

    enum Phase {
        /// Opened by us, and not yet accepted or rejected by the peer.
        case opening
        case open
        /// Forgotten: finished in both directions, rejected, or reset.
        case closed
    }

    var phase: Phase

    // Sending.
    var queue = CircularBuffer<ByteBuffer>(initialCapacity: 0)
    var queuedBytes = 0
    /// Offset of the next byte to send.
    var sent: UInt64 = 0
    /// Offset up to which the peer has granted.
    var sendLimit: UInt64
    var isFinishing = false
    var finSent = false
    var finAcknowledged = false
    /// Whether the stream is in one of the engine's queues.
    var isScheduled = false
    /// Whether the writer was told to stop.
    var isFull = false

    // Receiving.
    /// Offset of the next byte to receive.
    var received: UInt64 = 0
    /// Offset up to which bytes were written to the far socket.
    var consumed: UInt64 = 0
    /// Offset up to which we have granted.
    var granted: UInt64
    /// The last limit that was announced. It never decreases; ``granted`` does when nothing more comes.
    var announced: UInt64
    /// Set once the peer has sent its last byte.
    var finalOffset: UInt64?
    var finAcknowledgementSent = false
    var window: Int
    /// When the window was last measured, and at which offset.
    var measuredAt: NIODeadline
    var measuredFrom: UInt64 = 0
    var progressAt: NIODeadline
    /// Whether the stream is in the engine's list of streams whose credit must be sent.
    var isCreditDue = false

    init(id: UInt32, open: LinkOpen, phase: Phase, credit: Int, theirCredit: Int, now: NIODeadline) {
        self.id = id
        self.open = open
        self.phase = phase
        sendLimit = UInt64(theirCredit)
        granted = UInt64(credit)
        announced = granted
        window = credit
        measuredAt = now
        progressAt = now
    }

    /// Received bytes that were not yet written to the far socket.
    public var unconsumedBytes: Int { Int(received - consumed) }

    /// Whether the writer may continue.
    public var isWritable: Bool { !isFull && phase != .closed && !isFinishing }

    public var isClosed: Bool { phase == .closed }

    /// Whether the peer has sent its last byte.
    public var isFinished: Bool { finalOffset != nil }

    /// Bytes that are granted and not consumed: what the budget holds for this stream.
    var outstanding: Int { Int(granted - consumed) }

    var creditToSend: Int { Int(sendLimit - min(sent, sendLimit)) }

    /// Whether the stream has something that may be sent now.
    var canSend: Bool {
        guard phase != .closed else { return false }
        return queuedBytes > 0 ? creditToSend > 0 : isFinishing && !finSent
    }

    /// Whether both directions have ended and the peer knows it.
    var isDone: Bool { finAcknowledged && finAcknowledgementSent }
}

/// Handles the events of one stream, on the link's event loop.
public protocol LinkStreamOwner: AnyObject {
    /// The peer accepted the stream.
    func streamAccepted()
    /// The peer rejected the stream, which has ended.
    func streamRejected(_ reason: LinkRejection)
    /// Bytes arrived. They hold memory until they are consumed.
    func streamReceived(_ bytes: ByteBuffer)
    /// The peer has sent its last byte.
    func streamFinished()
    /// The stream has ended in both directions.
    func streamReset(_ code: ResetCode)
    /// The stream has space again, after a write that filled it.
    func streamWritable()
}
