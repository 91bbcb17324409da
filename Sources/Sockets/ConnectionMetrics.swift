public import Telemetry

/// The metrics of a server's listeners.
public final class ConnectionMetrics: Sendable {
    /// Open connections.
    public let open = Gauge()
    let accepted = Counter()
    let refused = Counter()
    /// Connections closed because of a timeout: the first request, a body, an idle wait.
    let slowRequests = Counter()
    let badRequests = Counter()
    /// Connections that ended before the first request was complete.
    let unused = Counter()
    let largeBodies = Counter()
    /// Bytes of responses that wait for peers which do not read them.
    let unreadAnswerBytes = Gauge()
    /// Connections closed because all unread responses together used too much memory.
    let unreadAnswersDropped = Counter()
    /// Connections that could not be accepted because no descriptor or memory was available.
    let acceptFailures = Counter()
    let handshakesFull = Counter()
    let handshakesResumed = Counter()
    let handshakesFailed = Counter()

    public init() {}

    public func expose(to out: inout Exposition) {
        out.gauge("postern_connections", "Open connections.", Double(open.value))
        out.counter("postern_connections_accepted_total", "Connections accepted.", accepted.value)
        out.counter(
            "postern_connections_refused_total", "Connections refused: too many from one address.", refused.value)
        out.counter(
            "postern_slow_requests_total", "Connections closed: no complete request within its deadline.",
            slowRequests.value)
        out.counter("postern_bad_requests_total", "Connections closed: not valid HTTP.", badRequests.value)
        out.counter(
            "postern_unused_connections_total", "Connections that ended before their first request was complete.",
            unused.value)
        out.counter("postern_large_bodies_total", "Bodies refused because they were too large.", largeBodies.value)
        out.gauge(
            "postern_unread_answer_bytes", "Bytes of responses that peers have not read.",
            Double(unreadAnswerBytes.value))
        out.counter(
            "postern_unread_answers_dropped_total", "Connections closed because unread responses took too much memory.",
            unreadAnswersDropped.value)
        out.counter(
            "postern_accept_failures_total", "Connections not accepted: no file descriptor or memory was available.",
            acceptFailures.value)
        for (result, counter) in [
            ("full", handshakesFull), ("resumed", handshakesResumed), ("failed", handshakesFailed),
        ] {
            out.counter(
                "postern_tls_handshakes_total", "TLS handshakes by result.", counter.value, labels: [("result", result)]
            )
        }
    }
}
