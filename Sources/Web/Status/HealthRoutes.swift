import Database
import HTTPTypes
import Hummingbird
import Logging
import Model
import NIOCore
import Sockets
import Storage
import Telemetry
import Wire

/// `/health`: whether the process runs and its database answers. `/ready`: whether it can serve, and the reason if not.
struct HealthRoutes: Sendable {
    struct Healthy: Encodable {
        /// `ok`, or `degraded` if some requests are refused while others are served.
        let status: String
        let timestamp: String
        let version: String
        let uptimeSeconds: Int
        /// With `degraded`: the problem.
        var message: String?

        private enum CodingKeys: String, CodingKey { case status, timestamp, version, uptimeSeconds, message }
    }

    struct Unhealthy: Encodable {
        let status = "error"
        let message: String

        private enum CodingKeys: String, CodingKey { case status, message }
    }

    struct Ready: Encodable {
        let ready: Bool
        let components: [Component]

        private enum CodingKeys: String, CodingKey { case ready, components }
    }

    let parts: WebParts
    let board: StatusChecks
    let events: ConnectionEvents

    func add(to routes: Routes) {
        routes.open(
            .get, "/health", limit: .none,
            about: RouteText(
                "Whether the process is up and its database responds",
                .ok(HealthRoutes.Healthy.self, "Up. `degraded`: some requests are refused; the rest works."),
                .json(503, HealthRoutes.Unhealthy.schema, "The database does not respond.")), use: health)
        routes.open(
            .get, "/ready", limit: .none,
            about: RouteText(
                "Whether the server is ready", .ok(HealthRoutes.Ready.self, "Ready."),
                .json(503, HealthRoutes.Ready.schema, "Not ready; the components give the reason."))
        ) { _, _ in
            let report = await board.report()
            return Response.json(
                Ready(ready: report.isReady, components: report.components),
                status: report.isReady ? .ok : .serviceUnavailable)
        }
    }

    @Sendable private func health(_ request: Request, _ context: WebContext) async throws -> Response {
        do {
            try await parts.database.read { try $0.check() }
        } catch {
            events.databaseFailed(error)
            return Response.json(
                Unhealthy(message: "The database does not respond; see the server's log."), status: .serviceUnavailable)
        }
        let isFull = (DiskSpace(of: parts.stateDirectory)?.freeBytes ?? .max) < parts.reserveBytes
        return Response.json(
            Healthy(
                status: isFull ? "degraded" : "ok", timestamp: ISOTime.text(millisecondsFromNow: 0),
                version: parts.version, uptimeSeconds: parts.metrics.uptimeSeconds,
                message: isFull ? "The disk is nearly full: writes are refused until space is freed." : nil))
    }
}
