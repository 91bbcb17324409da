import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// The page of an organisation's open share sessions: one's own, and everybody's where the role allows it.
struct SessionPages: Sendable {
    let shares: ShareOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/sessions", for: .member(.tenantRead), use: sessions)
        routes.page(.post, "/organisation/sessions/end", for: .account, use: end)
    }

    @Sendable private func sessions(_ page: PageRequest) async throws -> Response {
        let open = try await shares.overview(by: page.caller)
        let rows = open.sessions.map { one -> [HTML] in
            let id = one.session.id
            return [
                "\(one.session.sessionName ?? "without a name")", "\(one.host)",
                "\(one.session.startedAt.readable)", "\(one.session.endsAt?.readable ?? "")",
                one.mayEnd
                    ? Field.action(
                        "/organisation/sessions/end", "End it", page.visit.formToken, ["id": id],
                        asks: "Host and guests are disconnected, and the session cannot be resumed.") : "",
            ]
        }
        return page.page(
            "Share sessions",
            """
            <p>\(open.isEverybodys ? "Everybody's" : "Your") open share sessions. What is shown in them only their people can read.</p>
            \(Field.table("Open share sessions", ["Name", "Host", "Since", "Ends", ""], rows))
            """)
    }

    @Sendable private func end(_ page: PageRequest) async throws -> Response {
        let ended = try await shares.end(try page.form.require("id"), by: page.caller)
        return page.back(
            to: "/organisation/sessions",
            ended ? "The session is ended." : "There is no such session, or it is not yours.")
    }
}
