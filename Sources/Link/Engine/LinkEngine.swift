public import NIOCore
import Wire

/// The protocol of a link: frames in, frames and events out. It has no socket and no clock, and both sides use the same
/// engine.
///
/// Feed it with ``receive(_:now:)`` and ``tick(now:)``, take its events with ``takeEvents()``, and send what
/// ``output(atMost:now:)`` returns while the connection is writable. Bytes that a stream received count against the
/// budget until ``consume(_:_:now:)``. Not `Sendable`: it belongs to one event loop.
public final class LinkEngine {
    public enum Side: Sendable { case machine, server }

    /// The configuration of one side.
    public struct Configuration: Sendable {
        public var side: Side
        /// Streams that the peer may have open at once.
        public var maxStreams: Int
        /// `OPEN` frames that the peer may send per second.
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
    /// The stream of the `DATA` frame that is arriving; nil if its bytes are dropped.
    var dataStream: LinkStream?

    var streams: [UInt32: LinkStream] = [:]
    var nextStream: UInt32
    var highestPeerStream: UInt32 = 0
    var theirStreams = 0
    /// Bytes that may still arrive for streams that are forgotten here: granted to them but not yet sent.
    var lateBytes = 0
    /// Our resets that the peer has not answered.
    var openResets: Set<UInt32> = []
    /// Bytes that the peer lets a new stream send.
    var theirCredit = 0
    var theirMaxStreams = Int.max
    var isGoingAway = false
    var helloSeen = false

    // Calls.
    var nextCall: UInt32 = 1
    var callsSent: Set<UInt32> = []
    var callsReceived: Set<UInt32> = []
    /// Received calls whose answers have not been sent yet. If the peer does not read, its calls remain open.
    var callsAnswered: Set<UInt32> = []

    // Output queues.
    /// PING, PONG, RESET, GOAWAY, and the frames that start the link.
    var urgent = ByteBuffer()
    var creditDue: [LinkStream] = []
    var calls = CircularBuffer<ByteBuffer>(initialCapacity: 0)
    var young = CircularBuffer<LinkStream>(initialCapacity: 0)
    var bulk = CircularBuffer<LinkStream>(initialCapacity: 0)
    var youngHadTurn = false
    var callsHadTurn = false

    // Timers.
    var heardAt: NIODeadline
    var pingSentAt: NIODeadline?
    var pingNumber: UInt64 = 0
    var lastPingAt: NIODeadline
    /// The last measured round trip.
    public internal(set) var roundTrip: TimeAmount?
    /// Streams that wait for memory before they can be granted more.
    var starved: [LinkStream] = []
    /// When they last got no memory.
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
        // A visitor that leaves resets its stream, so as many resets as opens are allowed.
        resets = FrameAllowance(
            perSecond: configuration.opensPerSecond, burst: configuration.opensPerSecond * 2, now: now)
        // The usual rate is one in 10 s.
        pings = FrameAllowance(perSecond: 10, burst: 20, now: now)
        // Frames without an effect.
        empties = FrameAllowance(perSecond: 100, burst: 1000, now: now)
        // A machine that reconnects starts up to a thousand tunnels, and a server reports the requests of as many. 16
        // calls are open at once.
        callAllowance = FrameAllowance(perSecond: 1000, burst: 2000, now: now)
    }

    deinit { for stream in streams.values { budget.release(stream.outstanding) } }

    // MARK: Start and end

    /// Sends the machine's first frame.
    public func greet(_ hello: LinkHello) {
        urgent.writeFrame(.hello, JSONText.encode(hello))
    }

    /// Sends the server's answer. The link is open after that.
    public func welcome(_ welcome: LinkWelcome, to hello: LinkHello, now: NIODeadline) {
        guard phase == .greeting else { return }
        urgent.writeFrame(.welcome, JSONText.encode(welcome))
        begin(credit: hello.credit, maxStreams: .max, now: now)
    }

    /// Replaces the budget, once the owner of the link is known.
    public func use(_ budget: CreditBudget) { if phase == .greeting { self.budget = budget } }

    func begin(credit: Int, maxStreams: Int, now: NIODeadline) {
        phase = .open
        reader.skipsUnknown = true
        theirCredit = max(0, min(credit, LinkLimits.initialCredit))
        theirMaxStreams = maxStreams
        // Measures the first round trip at once.
        ping(now: now)
    }

    /// Tells the peer why this side ends the link, now or soon. Streams continue until the connection closes.
    public func goAway(_ reason: LinkGoAway) {
        guard phase != .over else { return }
        isGoingAway = true
        urgent.writeFrame(.goAway, JSONText.encode(reason))
    }

    /// Called when the connection is closed. Every stream ends.
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

    /// The events since the last call, in order.
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
    /// The machine has identified itself. The server answers with ``LinkEngine/welcome(_:to:now:)`` or
    /// ``LinkEngine/goAway(_:)``.
    case hello(LinkHello)
    case welcome(LinkWelcome)
    /// The peer opened a stream. It may be accepted or rejected at any later time; its bytes may arrive at once.
    case opened(LinkStream)
    case accepted(LinkStream)
    case rejected(LinkStream, LinkRejection)
    case data(LinkStream, ByteBuffer)
    /// The peer has sent its last byte.
    case finished(LinkStream)
    /// The stream has ended in both directions.
    case reset(LinkStream, ResetCode)
    /// A writer that was told to stop may continue.
    case writable(LinkStream)
    case call(UInt32, ByteBuffer)
    case answer(UInt32, ByteBuffer)
    case goAway(LinkGoAway)
    /// The peer violated the protocol or is silent. `GOAWAY` is in the output. Close the connection once it is sent.
    case failed(LinkError)
}

extension ByteBuffer {
    /// Appends a frame whose payload is known to be within its limit.
    mutating func writeFrame(_ type: LinkFrameType, stream: UInt32 = 0, _ payload: ByteBuffer) {
        LinkFrameHeader(type, stream: stream, length: payload.readableBytes).write(into: &self)
        writeImmutableBuffer(payload)
    }
}
