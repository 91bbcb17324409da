/// What a server counts about itself. One object, made at the start and handed to whoever counts.
public final class ServerMetrics: Sendable {
    public let started = ContinuousClock.now

    public var uptimeSeconds: Int { Int((ContinuousClock.now - started).components.seconds) }

    // Connections
    public let connections = Gauge()
    public let connectionsAccepted = Counter()
    public let connectionsRefused = Counter()
    /// Connections cut because something took too long: the first request, a body, an idle wait.
    public let slowRequests = Counter()
    public let badRequests = Counter()
    /// Connections that ended before a first request was whole.
    public let unusedConnections = Counter()
    public let largeBodies = Counter()
    /// Answers that wait for peers which do not read them.
    public let unreadAnswerBytes = Gauge()
    /// Connections closed because all of those together took too much.
    public let unreadAnswersDropped = Counter()
    /// Connections that could not be accepted: no descriptor or memory was left.
    public let acceptFailures = Counter()
    public let handshakesFull = Counter()
    public let handshakesResumed = Counter()
    public let handshakesFailed = Counter()

    // Requests, by the first digit of their status
    public let responses: [Counter] = (0..<6).map { _ in Counter() }
    public let requestSeconds = Histogram(bounds: Histogram.latencySeconds)

    // Relay
    public let rooms = Gauge()
    public let peers = Gauge()
    /// Those of the peers that are no host.
    public let guests = Gauge()
    public let framesReceived = Counter()
    public let bytesReceived = Counter()
    public let bytesDelivered = Counter()
    /// Handing the broadcasts of one socket read to the guests' sockets.
    public let relaySeconds = Histogram(bounds: Histogram.latencySeconds)
    public let queueBytes = Gauge()
    public let slowConsumers = Counter()

    // Storage
    public let commitSize = Histogram(bounds: Histogram.batchSizes)
    public let commitSeconds = Histogram(bounds: Histogram.latencySeconds)

    // Event loops
    public let loopLagSeconds = Histogram(bounds: Histogram.latencySeconds)

    public init() {}
}
