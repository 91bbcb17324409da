import Model
import Relay
import Storage
import Wire

extension WebFeature {
    /// Share sessions, their codes, invitations, and the routes to the relay.
    static let sharing = WebFeature(
        name: "sharing",
        navigation: [
            NavigationLink(
                path: "/organisation/sessions", title: "Share sessions", group: .organisation, permission: .tenantRead)
        ],
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
        metrics: { services, out in services.parts.metrics.relay.expose(to: &out) },
        routes: { services, routes in
            SocketIORoutes().add(to: routes)
            SessionRoutes(shares: services.shares).add(to: routes)
            SessionPages(shares: services.shares).add(to: routes)
            CodeRoutes(shares: services.shares).add(to: routes)
            InvitationPage().add(to: routes)
        })

    /// The end of a page of codes: by time, then by code.
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

    /// Without the code itself: a valid code admits people.
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
        let id, sessionId, permission, joinedAt: String
        /// Null for a guest without an account.
        @NullWhenAbsent var userId: String?
        let leftAt: String?

        init(_ seat: GuestSeat.Taken) {
            id = seat.id
            sessionId = seat.sessionId
            _userId = NullWhenAbsent(wrappedValue: seat.userId)
            permission = seat.permission.rawValue
            joinedAt = seat.joinedAt.iso
            leftAt = seat.leftAt?.iso
        }
    }
}
