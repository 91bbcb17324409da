import Model
import Storage
import Telemetry
import Wire

extension WebFeature {
    /// Share sessions, their codes, invitations, and the relay's ways in.
    static let sharing = WebFeature(
        name: "sharing",
        navigation: [NavigationLink(path: "/organisation/sessions", title: "Share sessions")],
        exports: [
            ExportPart(kind: "session") { after, scope in
                let page = try ShareSession.history(after: after, in: scope)
                return page.last.map { ExportPart.Page(values: page.map { SessionResource($0) }, next: $0.id) }
            },
            ExportPart(kind: "code") { after, scope in
                let page = try ShareCode.history(after: CodePlace(after).pair, in: scope)
                return page.last.map { ExportPart.Page(values: page.map(ExportedCode.init), next: CodePlace($0).text) }
            },
            ExportPart(kind: "guest") { after, scope in
                let page = try GuestSeat.history(after: after, in: scope)
                return page.last.map { ExportPart.Page(values: page.map(ExportedGuest.init), next: $0.id) }
            },
        ],
        metrics: { services, out in relayMetrics(services.parts.metrics, &out) },
        routes: { services, routes in
            SocketIORoutes().add(to: routes)
            SessionRoutes(shares: services.shares).add(to: routes)
            SessionPages(shares: services.shares).add(to: routes)
            CodeRoutes(shares: services.shares).add(to: routes)
            InvitationPage().add(to: routes)
        })

    private static func relayMetrics(_ metrics: ServerMetrics, _ out: inout Exposition) {
        out.gauge("postern_relay_rooms", "Open rooms.", Double(metrics.rooms.value))
        out.gauge("postern_relay_peers", "Hosts and guests in rooms.", Double(metrics.peers.value))
        out.gauge("postern_relay_guests", "Guests in rooms.", Double(metrics.guests.value))
        out.counter("postern_relay_frames_received_total", "Broadcast frames from hosts.", metrics.framesReceived.value)
        out.counter(
            "postern_relay_bytes_received_total", "Bytes of broadcast frames from hosts.", metrics.bytesReceived.value)
        out.counter(
            "postern_relay_bytes_delivered_total", "Bytes of broadcast frames handed to guests.",
            metrics.bytesDelivered.value)
        out.histogram(
            "postern_relay_delivery_seconds", "Time to hand one batch of broadcasts to all guests.",
            metrics.relaySeconds)
        out.gauge("postern_relay_queue_bytes", "Bytes that wait for slow guests.", Double(metrics.queueBytes.value))
        out.counter(
            "postern_relay_slow_consumers_total", "Times that a guest fell behind and was skipped.",
            metrics.slowConsumers.value)
    }

    /// Where a page of codes ends: by time, then by code.
    private struct CodePlace {
        let pair: (Timestamp, String)

        init(_ code: ShareCode) { pair = (code.createdAt, code.code) }

        init(_ text: String) {
            let parts = text.split(separator: " ")
            pair =
                parts.count == 2
                ? (Timestamp(milliseconds: Int64(parts[0]) ?? 0), String(parts[1])) : (.init(milliseconds: 0), "")
        }

        var text: String { "\(pair.0.milliseconds) \(pair.1)" }
    }

    /// Without the code itself: while it lives it lets people in.
    private struct ExportedCode: Encodable {
        let sessionId, permission, createdAt: String
        let currentUses: Int
        let maxUses: Int?
        let expiresAt, revokedAt: String?

        init(_ code: ShareCode) {
            sessionId = code.sessionId
            permission = code.permission.rawValue
            createdAt = code.createdAt.iso
            currentUses = code.currentUses
            maxUses = code.maxUses
            expiresAt = code.expiresAt?.iso
            revokedAt = code.revokedAt?.iso
        }
    }

    private struct ExportedGuest: Encodable {
        let id, sessionId, userId, permission, joinedAt: String
        let leftAt: String?

        init(_ seat: GuestSeat.Taken) {
            id = seat.id
            sessionId = seat.sessionId
            userId = seat.userId
            permission = seat.permission.rawValue
            joinedAt = seat.joinedAt.iso
            leftAt = seat.leftAt?.iso
        }
    }
}
