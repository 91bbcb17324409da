import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Storage
import Telemetry
import Wire

/// `/health`: is the process up, and does its database answer?
struct HealthRoutes: Sendable {
    struct Healthy: Encodable {
        let status = "ok"
        let timestamp: String
        let version: String
        let uptimeSeconds: Int

        private enum CodingKeys: String, CodingKey { case status, timestamp, version, uptimeSeconds }
    }

    struct Unhealthy: Encodable {
        let status = "error"
        let message: String

        private enum CodingKeys: String, CodingKey { case status, message }
    }

    let database: Database
    let version: String
    let metrics: ServerMetrics

    func add(to router: Router<WebContext>) {
        router.get("/health") { _, context in
            do {
                try await database.read { try $0.check() }
            } catch {
                context.logger.error("the database does not answer", metadata: ["error": "\(error)"])
                return Response.json(
                    Unhealthy(message: "The database does not answer; see the server's log."),
                    status: .serviceUnavailable)
            }
            return Response.json(
                Healthy(
                    timestamp: ISOTime.text(millisecondsFromNow: 0), version: version,
                    uptimeSeconds: metrics.uptimeSeconds))
        }
    }
}
