import Database
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Operations
import Relay
import Storage
import Telemetry
import TransportSecurity
import Wire

/// `/` and `/status`: the server's status, for people.
struct StatusRoutes: Sendable {
    let parts: WebParts
    let board: StatusChecks
    let authenticator: Authenticator
    let publicNumbers: Bool

    func add(to routes: Routes) {
        routes.openPage(.get, "/", limit: .none, use: page)
        routes.openPage(.get, "/status", limit: .none, use: page)
    }

    @Sendable private func page(_ request: Request, _ context: WebContext) async throws -> Response {
        let report = await board.report()
        // If the database does not answer, the report says so, and the page is still shown.
        let (incidents, days) =
            (try? await parts.database.read {
                (try Incident.list(includingResolved: false, in: $0), try Availability.all(in: $0))
            }) ?? ([], [])
        let visit = try? await authenticator.visit(of: request, context)
        let caller = try? await authenticator.caller(of: request, context)
        let isSignedIn = visit != nil || caller != nil
        let page = StatusPage(
            report: report, incidents: incidents, days: days, version: parts.version,
            uptime: DurationText.text(parts.metrics.uptimeSeconds), now: .now(),
            numbers: publicNumbers || isSignedIn ? numbers : [], isSignedIn: isSignedIn)
        return page.response
    }

    private var numbers: [(String, String)] {
        let metrics = parts.metrics.relay
        return [
            ("Open sessions", "\(metrics.rooms.value)"), ("Participants connected", "\(metrics.peers.value)"),
            ("Relayed since startup", ByteText.text(Int(metrics.bytesDelivered.value))),
            ("Times a guest fell behind", "\(metrics.slowConsumers.value)"),
        ] + (DiskSpace(of: parts.stateDirectory).map { [("Free disk space", ByteText.text($0.freeBytes))] } ?? [])
    }
}
