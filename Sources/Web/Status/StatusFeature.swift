import Database
import Sockets
import Storage
import Telemetry
import TransportSecurity

extension WebFeature {
    /// The server's status: for people, for load balancers, for Prometheus.
    static let status = WebFeature(
        name: "status",
        metrics: { services, out in
            connections(services.parts, &out)
            database(services.parts, &out)
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
        out.gauge("postern_uptime_seconds", "Time since startup.", Double(metrics.uptimeSeconds))
        metrics.connections.expose(to: &out)
        metrics.requests.expose(to: &out)
        out.histogram("postern_event_loop_lag_seconds", "Response time of an event loop.", metrics.loopLagSeconds)
        if let report = parts.certificate() {
            out.gauge(
                "postern_certificate_expiry_timestamp_seconds", "When the certificate expires.",
                Double(report.facts.notAfter))
        }
    }

    private static func database(_ parts: WebParts, _ out: inout Exposition) {
        parts.metrics.database.expose(to: &out)
        out.gauge(
            "postern_database_wal_bytes", "Size of the write-ahead log.",
            Double(parts.database.walBytes))
        if let space = DiskSpace(of: parts.stateDirectory) {
            out.gauge("postern_disk_free_bytes", "Free space for the state directory.", Double(space.freeBytes))
        }
    }
}
