public import NIOCore

/// One stream of a link: bytes both ways, each way ended by itself. Belongs to the engine's event loop.
public final class LinkStream {
    public let id: UInt32
    /// What it is for.
    public let open: LinkOpen
    /// Whoever acts on this stream's events.
    public weak var owner: (any LinkStreamOwner)?

    enum Phase {
        /// Ours, and the other side has not said whether it takes it.
        case opening
        case open
        /// Forgotten: finished both ways, rejected, or reset.
        case closed
    }

    var phase: Phase

    // What we send.
    var queue = CircularBuffer<ByteBuffer>(initialCapacity: 0)
    var queuedBytes = 0
    /// Offset of the next byte to send.
    var sent: UInt64 = 0
    /// Offset up to which the other side has granted.
    var sendLimit: UInt64
    var isFinishing = false
    var finSent = false
    var finAcknowledged = false
    /// In one of the engine's queues.
    var isScheduled = false
    /// The writer was told to stop.
    var isFull = false

    // What we receive.
    /// Offset of the next byte to come.
    var received: UInt64 = 0
    /// Offset up to which bytes have left for the far socket.
    var consumed: UInt64 = 0
    /// Offset up to which we have granted.
    var granted: UInt64
    /// The last limit that was announced, which never goes down; ``granted`` does when nothing more comes.
    var announced: UInt64
    /// Set once the other side has sent its last byte.
    var finalOffset: UInt64?
    var finAcknowledgementSent = false
    var window: Int
    /// When, and at which offset, the window was last measured.
    var measuredAt: NIODeadline
    var measuredFrom: UInt64 = 0
    var progressAt: NIODeadline
    /// In the engine's list of streams whose credit is to be sent.
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

    /// Bytes that were received and have not left for the far socket.
    public var unconsumedBytes: Int { Int(received - consumed) }

    /// Whether the writer should go on.
    public var isWritable: Bool { !isFull && phase != .closed && !isFinishing }

    public var isClosed: Bool { phase == .closed }

    /// The other side has sent its last byte.
    public var isFinished: Bool { finalOffset != nil }

    /// What is granted and not consumed, in bytes: what the budget holds for this stream.
    var outstanding: Int { Int(granted - consumed) }

    var creditToSend: Int { Int(sendLimit - min(sent, sendLimit)) }

    /// Whether something could be sent now.
    var canSend: Bool {
        guard phase != .closed else { return false }
        return queuedBytes > 0 ? creditToSend > 0 : isFinishing && !finSent
    }

    /// Both ways are over and the other side knows it.
    var isDone: Bool { finAcknowledged && finAcknowledgementSent }
}

/// Acts on what happens to one stream, on the link's event loop.
public protocol LinkStreamOwner: AnyObject {
    /// The other side takes the stream.
    func streamAccepted()
    /// The other side does not take the stream, which is over.
    func streamRejected(_ reason: LinkRejection)
    /// Bytes arrived. They hold memory until they are consumed.
    func streamReceived(_ bytes: ByteBuffer)
    /// The other side has sent its last byte.
    func streamFinished()
    /// The stream is over both ways.
    func streamReset(_ code: ResetCode)
    /// After a write that filled the stream: there is room again.
    func streamWritable()
}
