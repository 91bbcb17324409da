public import Telemetry

/// What the relay counts.
public final class RelayMetrics: Sendable {
    public let rooms = Gauge()
    public let peers = Gauge()
    /// Peers that are not a host.
    public let guests = Gauge()
    let framesReceived = Counter()
    let bytesReceived = Counter()
    public let bytesDelivered = Counter()
    /// Time to write the broadcasts of one socket read to the guests' sockets.
    let deliverySeconds = Histogram(bounds: Histogram.latencySeconds)
    let queueBytes = Gauge()
    /// How often a guest fell behind and was skipped.
    public let slowConsumers = Counter()

    public init() {}

    public func expose(to out: inout Exposition) {
        out.gauge("postern_relay_rooms", "Open rooms.", Double(rooms.value))
        out.gauge("postern_relay_peers", "Hosts and guests in rooms.", Double(peers.value))
        out.gauge("postern_relay_guests", "Guests in rooms.", Double(guests.value))
        out.counter("postern_relay_frames_received_total", "Broadcast frames from hosts.", framesReceived.value)
        out.counter("postern_relay_bytes_received_total", "Bytes of broadcast frames from hosts.", bytesReceived.value)
        out.counter(
            "postern_relay_bytes_delivered_total", "Bytes of broadcast frames delivered to guests.",
            bytesDelivered.value)
        out.histogram(
            "postern_relay_delivery_seconds", "Time to deliver one batch of broadcasts to all guests.", deliverySeconds)
        out.gauge("postern_relay_queue_bytes", "Bytes queued for slow guests.", Double(queueBytes.value))
        out.counter(
            "postern_relay_slow_consumers_total", "Times that a guest fell behind and was skipped.",
            slowConsumers.value)
    }
}
