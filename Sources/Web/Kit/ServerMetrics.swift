public import Database
public import Relay
public import Sockets
public import Telemetry
public import Tunnels

/// What each part of a server counts about itself, made once at the start. Each part exposes its own.
public struct ServerMetrics: Sendable {
    public let connections = ConnectionMetrics()
    public let requests = RequestMetrics()
    public let relay = RelayMetrics()
    public let database = DatabaseMetrics()
    public let tunnels = TunnelMetrics()
    /// How long an event loop takes to answer.
    public let loopLagSeconds = Histogram(bounds: Histogram.latencySeconds)
    private let started = ContinuousClock.now

    public init() {}

    var uptimeSeconds: Int { Int((ContinuousClock.now - started).components.seconds) }
}
