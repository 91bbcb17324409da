public import NIOCore
import Wire

/// The protocol of a link: frames in, frames and events out. It has no socket and no clock; the same engine serves both sides.
///
/// Feed it with ``receive(_:now:)`` and ``tick(now:)``, take what it has to say with ``takeEvents()``, and send what
/// ``output(atMost:now:)`` gives while the connection takes more. Bytes that a stream received stay counted against the budget until
/// ``consume(_:_:now:)``. Not `Sendable`: it belongs to one event loop.
public final class LinkEngine {
    public enum Side: Sendable { case machine, server }

    /// What one side needs to know about itself.
    public struct Configuration: Sendable {
        public var side: Side
        /// Streams at once that the other side may open.
        public var maxStreams: Int
        /// `OPEN`s that the other side may send in a second.
        public var opensPerSecond: Int

        public init(side: Side, maxStreams: Int, opensPerSecond: Int) {
            self.side = side
            self.maxStreams = maxStreams
            self.opensPerSecond = opensPerSecond
        }
    }

    enum Phase { case greeting, open, over }

    let configuration: Configuration
    private(set) var budget: CreditBudget
    var phase = Phase.greeting
    var events: [LinkEvent] = []
    var reader = LinkFrameReader()
    /// The stream of the `DATA` frame that is arriving; nil where its bytes are dropped.
    var dataStream: LinkStream?

    var streams: [UInt32: LinkStream] = [:]
    var nextStream: UInt32
    var highestPeerStream: UInt32 = 0
    var theirStreams = 0
    /// Bytes that may still come for streams that are forgotten here: what they had been granted and not sent.
    var lateBytes = 0
    /// Resets of ours that are not answered.
    var openResets: Set<UInt32> = []
    /// What the other side lets a new stream send.
    var theirCredit = 0
    var theirMaxStreams = Int.max
    var isGoingAway = false
    var helloSeen = false

    // Calls.
    var nextCall: UInt32 = 1
    var callsSent: Set<UInt32> = []
    var callsReceived: Set<UInt32> = []
    /// Those of them whose answers have not left yet: a side that does not read keeps its places taken.
    var callsAnswered: Set<UInt32> = []

    // What waits to be sent.
    /// PING, PONG, RESET and GOAWAY, and what begins the link.
    var urgent = ByteBuffer()
    var creditDue: [LinkStream] = []
    var calls = CircularBuffer<ByteBuffer>(initialCapacity: 0)
    var young = CircularBuffer<LinkStream>(initialCapacity: 0)
    var bulk = CircularBuffer<LinkStream>(initialCapacity: 0)
    var youngHadTurn = false
    var callsHadTurn = false

    // Time.
    var heardAt: NIODeadline
    var pingSentAt: NIODeadline?
    var pingNumber: UInt64 = 0
    var lastPingAt: NIODeadline
    /// The last round trip that was measured.
    public internal(set) var roundTrip: TimeAmount?
    /// Streams whose grant had to wait for memory.
    var starved: [LinkStream] = []
    /// When they last got none.
    var starvedAt = NIODeadline.now()

    var opens, resets, pings, empties, callAllowance: FrameAllowance

    /// - Parameter budget: of this link; nested in those of its organisation and its process.
    public init(_ configuration: Configuration, budget: CreditBudget, now: NIODeadline) {
        self.configuration = configuration
        self.budget = budget
        nextStream = configuration.side == .machine ? 1 : 2
        heardAt = now
        starvedAt = now
        lastPingAt = now
        opens = FrameAllowance(
            perSecond: configuration.opensPerSecond, burst: configuration.opensPerSecond * 2, now: now)
        // A visitor that leaves resets its stream: as many as may be opened.
        resets = FrameAllowance(
            perSecond: configuration.opensPerSecond, burst: configuration.opensPerSecond * 2, now: now)
        // One in 10 s is usual.
        pings = FrameAllowance(perSecond: 10, burst: 20, now: now)
        // Frames that move nothing.
        empties = FrameAllowance(perSecond: 100, burst: 1000, now: now)
        // A machine that comes back starts its thousand tunnels; a server reports the requests of as many. 16 are open at once.
        callAllowance = FrameAllowance(perSecond: 1000, burst: 2000, now: now)
    }

    deinit { for stream in streams.values { budget.release(stream.outstanding) } }

    // MARK: The beginning and the end

    /// The machine's first frame.
    public func greet(_ hello: LinkHello) {
        urgent.writeFrame(.hello, JSONText.encode(hello))
    }

    /// The server's answer; the link is open then.
    public func welcome(_ welcome: LinkWelcome, to hello: LinkHello, now: NIODeadline) {
        guard phase == .greeting else { return }
        urgent.writeFrame(.welcome, JSONText.encode(welcome))
        begin(credit: hello.credit, maxStreams: .max, now: now)
    }

    /// Takes another budget, once it is known whose link it is.
    public func use(_ budget: CreditBudget) { if phase == .greeting { self.budget = budget } }

    func begin(credit: Int, maxStreams: Int, now: NIODeadline) {
        phase = .open
        reader.skipsUnknown = true
        theirCredit = max(0, min(credit, LinkLimits.initialCredit))
        theirMaxStreams = maxStreams
        // The first round trip is measured at once.
        ping(now: now)
    }

    /// Says why this side ends the link, or will. Streams go on until the connection closes.
    public func goAway(_ reason: LinkGoAway) {
        guard phase != .over else { return }
        isGoingAway = true
        urgent.writeFrame(.goAway, JSONText.encode(reason))
    }

    /// The connection is gone: every stream ends.
    public func close() {
        guard phase != .over else { return }
        phase = .over
        for stream in streams.values.sorted(by: { $0.id < $1.id }) {
            forget(stream)
            events.append(.reset(stream, .gone))
        }
        starved = []
        creditDue = []
    }

    func fail(_ error: LinkError) {
        guard phase != .over else { return }
        goAway(LinkGoAway(code: error.code, message: error.message, retryAfter: error.retryAfter))
        events.append(.failed(error))
        close()
    }

    // MARK: Events

    /// What has happened since the last time, in order.
    public func takeEvents() -> [LinkEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    /// Streams that are open or not yet forgotten.
    public var streamCount: Int { streams.count }

    /// Whether a stream waits for memory.
    var isStarved: Bool { !starved.isEmpty }

    public var isOpen: Bool { phase == .open && !isGoingAway }
}

/// What the engine tells its owner.
public enum LinkEvent {
    /// The machine has said who it is. The server answers with ``LinkEngine/welcome(_:to:now:)`` or ``LinkEngine/goAway(_:)``.
    case hello(LinkHello)
    case welcome(LinkWelcome)
    /// The other side opened a stream. It is accepted or rejected at any time later; its bytes may come at once.
    case opened(LinkStream)
    case accepted(LinkStream)
    case rejected(LinkStream, LinkRejection)
    case data(LinkStream, ByteBuffer)
    /// The other side has sent its last byte.
    case finished(LinkStream)
    /// The stream is over both ways.
    case reset(LinkStream, ResetCode)
    /// A writer that was told to stop may go on.
    case writable(LinkStream)
    case call(UInt32, ByteBuffer)
    case answer(UInt32, ByteBuffer)
    case goAway(LinkGoAway)
    /// The other side broke a rule, or is silent. `GOAWAY` is in the output; the connection is to be closed when it has left.
    case failed(LinkError)
}

extension ByteBuffer {
    /// Appends a frame of a bounded payload.
    mutating func writeFrame(_ type: LinkFrameType, stream: UInt32 = 0, _ payload: ByteBuffer) {
        LinkFrameHeader(type, stream: stream, length: payload.readableBytes).write(into: &self)
        writeImmutableBuffer(payload)
    }
}
