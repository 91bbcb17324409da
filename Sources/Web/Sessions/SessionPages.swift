import Database
import HTTPTypes
import Hummingbird
import Storage

/// The page of an organisation's open share sessions: one's own, and everybody's where the role allows it.
struct SessionPages: Sendable {
    let database: Database
    let service: SessionService

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/sessions", for: .member(.tenantRead), use: sessions)
        routes.page(.post, "/organisation/sessions/end", for: .account, use: end)
    }

    private struct Listed: Sendable {
        let session: ShareSession
        let host: String
        let mayEnd: Bool
    }

    @Sendable private func sessions(_ page: PageRequest) async throws -> Response {
        let caller = page.caller
        let (seesAll, all) = try await database.read { connection -> (Bool, [Listed]) in
            let member = try caller.member(may: .tenantRead, in: connection)
            let seesAll = member.may(.sessionReadAll)
            let scope = connection.tenant(caller.organisationId)
            let all = try ShareSession.active(ownedBy: seesAll ? nil : caller.user.id, in: scope)
            return (
                seesAll,
                try all.map {
                    Listed(
                        session: $0, host: try User.find(id: $0.hostUserId, in: connection)?.username ?? "",
                        mayEnd: $0.hostUserId == caller.user.id || member.may(.sessionEndAny))
                }
            )
        }
        let rows = all.map { one -> [HTML] in
            let id = one.session.id
            return [
                "\(one.session.sessionName ?? "without a name")", "\(one.host)",
                "\(one.session.startedAt.readable)", "\(one.session.endsAt?.readable ?? "")",
                one.mayEnd
                    ? Field.action("/organisation/sessions/end", "End it", page.visit.formToken, ["id": id]) : "",
            ]
        }
        return page.page(
            "Share sessions",
            """
            <p>\(seesAll ? "Everybody's" : "Your") open share sessions. What is shown in them only their people can read.</p>
            \(Field.table("Open share sessions", ["Name", "Host", "Since", "Ends", ""], rows))
            """)
    }

    @Sendable private func end(_ page: PageRequest) async throws -> Response {
        let ended = try await service.end(try page.form.require("id"), by: page.caller)
        return page.back(
            to: "/organisation/sessions",
            ended ? "The session is ended." : "There is no such session, or it is not yours.")
    }
}
