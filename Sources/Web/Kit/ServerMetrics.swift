public import Database
public import Relay
public import Sockets
public import Telemetry
public import Tunnels

/// The metrics of all parts of a server, created once at the start. Each part exports its own.
public struct ServerMetrics: Sendable {
    public let connections = ConnectionMetrics()
    public let requests = RequestMetrics()
    public let relay = RelayMetrics()
    public let database = DatabaseMetrics()
    public let tunnels = TunnelMetrics()
    /// How long an event loop takes to respond.
    public let loopLagSeconds = Histogram(bounds: Histogram.latencySeconds)
    private let started = ContinuousClock.now

    public init() {}

    var uptimeSeconds: Int { Int((ContinuousClock.now - started).components.seconds) }
}
