public import Telemetry

/// The edge's metrics.
public final class TunnelMetrics: Sendable {
    public let links = Gauge()
    public let tunnels = Gauge()
    /// The current number of visitors' connections.
    public let connections = Gauge()
    let connectionsTotal = Counter()
    let requests = Counter()
    let bytesIn = Counter()
    let bytesOut = Counter()
    let linksRefused = Counter()
    let linkViolations = Counter()
    let streamsStalled = Counter()
    let cookiesDropped = Counter()
    let visitorsTooMany = Counter()
    let visitorsSlow = Counter()
    let requestsMalformed = Counter()
    let answersMalformed = Counter()
    let addressesRefused = Counter()
    let passwordsRefused = Counter()
    let servicesRefused = Counter()
    let servicesLate = Counter()
    let retried = Counter()
    let truncated = Counter()

    public init() {}

    public func expose(to out: inout Exposition) {
        out.gauge("postern_links", "Open links of machines.", Double(links.value))
        out.gauge("postern_tunnels", "Tunnels that are connected.", Double(tunnels.value))
        out.gauge("postern_tunnel_connections", "Visitors' connections to tunnels.", Double(connections.value))
        out.counter(
            "postern_tunnel_connections_total", "Visitors' connections to tunnels that were accepted.",
            connectionsTotal.value)
        out.counter("postern_tunnel_requests_total", "Requests to tunnels that were answered.", requests.value)
        for (direction, counter) in [("in", bytesIn), ("out", bytesOut)] {
            out.counter(
                "postern_tunnel_bytes_total", "Bytes from and to visitors, without TLS.", counter.value,
                labels: [("direction", direction)])
        }
        for (reason, counter) in [
            ("too_many", visitorsTooMany), ("slow", visitorsSlow), ("malformed", requestsMalformed),
            ("address", addressesRefused), ("password", passwordsRefused), ("service_refused", servicesRefused),
            ("service_late", servicesLate), ("service_malformed", answersMalformed),
        ] {
            out.counter(
                "postern_tunnel_refusals_total", "Visitors' requests and connections that were refused, by reason.",
                counter.value, labels: [("reason", reason)])
        }
        out.counter("postern_links_refused_total", "Links refused.", linksRefused.value)
        out.counter("postern_link_violations_total", "Links closed for protocol violations.", linkViolations.value)
        out.counter(
            "postern_tunnel_streams_stalled_total", "Streams reset because they were stalled while memory was short.",
            streamsStalled.value)
        out.counter(
            "postern_tunnel_cookies_dropped_total",
            "Cookies of services dropped because they also applied to other hosts.",
            cookiesDropped.value)
        out.counter(
            "postern_tunnel_retries_total", "Requests that were sent again on a fresh connection to the service.",
            retried.value)
        out.counter(
            "postern_tunnel_truncated_total", "Responses that the service did not finish.", truncated.value)
    }
}
