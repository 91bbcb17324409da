import Database
import Storage
import Telemetry
import TransportSecurity

extension WebFeature {
    /// How the server is: for people, for load balancers, for Prometheus.
    static let status = WebFeature(
        name: "status",
        metrics: { services, out in
            connections(services.parts, &out)
            storage(services.parts, &out)
        },
        routes: { services, routes in
            HealthRoutes(parts: services.parts, board: services.board, events: services.events).add(to: routes)
            MetricsRoutes(services: services).add(to: routes)
            StatusRoutes(
                parts: services.parts, board: services.board, authenticator: services.authenticator,
                publicNumbers: services.configuration.publicNumbers
            ).add(to: routes)
        })

    private static func connections(_ parts: WebParts, _ out: inout Exposition) {
        let metrics = parts.metrics
        out.gauge("postern_uptime_seconds", "Time since the start.", Double(metrics.uptimeSeconds))
        out.gauge("postern_connections", "Open connections.", Double(metrics.connections.value))
        out.counter("postern_connections_accepted_total", "Connections accepted.", metrics.connectionsAccepted.value)
        out.counter(
            "postern_connections_refused_total", "Connections refused: too many from one address.",
            metrics.connectionsRefused.value)
        out.counter(
            "postern_slow_requests_total", "Connections cut: no whole request within its deadline.",
            metrics.slowRequests.value)
        out.counter(
            "postern_bad_requests_total", "Connections closed: not valid HTTP.", metrics.badRequests.value)
        out.counter(
            "postern_unused_connections_total", "Connections that ended before their first request was whole.",
            metrics.unusedConnections.value)
        out.counter("postern_large_bodies_total", "Bodies refused for their length.", metrics.largeBodies.value)
        out.gauge(
            "postern_unread_answer_bytes", "Answers that wait for peers which do not read them.",
            Double(metrics.unreadAnswerBytes.value))
        out.counter(
            "postern_unread_answers_dropped_total", "Connections closed because unread answers took too much memory.",
            metrics.unreadAnswersDropped.value)
        out.counter(
            "postern_accept_failures_total", "Connections not accepted: no file descriptor or memory was left.",
            metrics.acceptFailures.value)
        for (result, counter) in [
            ("full", metrics.handshakesFull), ("resumed", metrics.handshakesResumed),
            ("failed", metrics.handshakesFailed),
        ] {
            out.counter(
                "postern_tls_handshakes_total", "TLS handshakes by result.", counter.value, labels: [("result", result)]
            )
        }
        for (index, counter) in metrics.responses.enumerated() where index > 0 {
            out.counter(
                "postern_http_responses_total", "Answers by the first digit of their status.", counter.value,
                labels: [("status", "\(index)xx")])
        }
        out.histogram("postern_http_request_seconds", "Time to answer a request.", metrics.requestSeconds)
        out.histogram("postern_event_loop_lag_seconds", "Time until an event loop answers.", metrics.loopLagSeconds)
        if let report = parts.certificate() {
            out.gauge(
                "postern_certificate_expiry_timestamp_seconds", "When the certificate ends.",
                Double(report.facts.notAfter))
        }
    }

    private static func storage(_ parts: WebParts, _ out: inout Exposition) {
        let metrics = parts.metrics
        out.histogram("postern_database_commit_transactions", "Transactions in one commit.", metrics.commitSize)
        out.histogram("postern_database_commit_seconds", "Time of one commit.", metrics.commitSeconds)
        out.gauge(
            "postern_database_wal_bytes", "Size of the write-ahead log.",
            Double(parts.database.walBytes))
        if let space = DiskSpace(of: parts.stateDirectory) {
            out.gauge("postern_disk_free_bytes", "Free space for the state directory.", Double(space.freeBytes))
        }
    }
}
