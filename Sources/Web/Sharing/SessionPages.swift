import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Telemetry

/// The page of an organisation's open share sessions: the person's own, or all of them if the role allows it.
struct SessionPages: Sendable {
    let shares: ShareOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/sessions", for: .member(.tenantRead), use: sessions)
        routes.page(.post, "/organisation/sessions/end", for: .account, in: sessions, use: end)
    }

    @Sendable private func sessions(_ page: PageRequest) async throws -> Response {
        let open = try await shares.overview(by: page.caller)
        guard !open.sessions.isEmpty else {
            return page.page("Share sessions", Self.empty, live: [.sessions])
        }
        let rows = open.sessions.map { one -> [HTML] in
            let end = Action("/organisation/sessions/end", "End", page.token, ["id": one.session.id])
            return [
                "\(one.session.sessionName ?? "unnamed")", "\(one.host)",
                TimeText.html(one.session.startedAt),
                TimeText.html(one.session.endsAt, missing: "when the host ends it"),
                one.mayEnd ? end.asks("Host and guests are disconnected, and the session cannot be resumed.") : "",
            ]
        }
        let table = Table("Open share sessions", ["Name", "Host", .short("Since"), .short("Ends"), .actions], rows)
        return page.page(
            "Share sessions", Panel.html(nil, table.html),
            lead:
                "\(open.isEverybodys ? "All" : "Your") open share sessions. Only their participants can read the content.",
            live: [.sessions])
    }

    private static let empty = Panel.empty(
        "No open sessions",
        """
        <p>Share a terminal from any machine where you are signed in; it prints a link and two words for your guests:</p>
        \(Copyable.html("postern share"))
        <p>Guests join in a browser, or with <code>postern join CODE</code>. <a href="/docs/share">How sharing works</a></p>
        """)

    @Sendable private func end(_ page: PageRequest) async throws -> Response {
        let ended = try await shares.end(try page.form.require("id"), by: page.caller)
        return page.back(
            to: "/organisation/sessions",
            ended ? "The session is ended." : "There is no such session, or it is not yours.")
    }
}
