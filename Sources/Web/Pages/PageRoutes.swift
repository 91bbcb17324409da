import Hummingbird
import NIOCore
import Relay
import Telemetry
import Wire

/// What a person sees in a browser.
struct PageRoutes: Sendable {
    let version: String
    let metrics: ServerMetrics
    let relay: RelayServer

    func add(to router: Router<WebContext>) {
        router.get("/") { _, _ in status.response }
        router.get("/j/:code") { _, context in
            // The secret stands in the fragment, which browsers keep to themselves: this page cannot show the whole link.
            guard let code = CodeName(try context.parameters.require("code")) else {
                throw APIError(
                    .notFound, "code_not_found", "This is not a share code; ask the host for the link again.")
            }
            return invitation(code).response
        }
    }

    private var status: Page {
        let uptime = metrics.uptimeSeconds
        return Page(
            title: "Postern is up",
            body: """
                <main><h1 class="ok">This Postern is up</h1><dl>
                <dt>Version</dt><dd>\(Page.escaped(version))</dd>
                <dt>Up for</dt><dd>\(Self.duration(uptime))</dd>
                <dt>Open rooms</dt><dd>\(relay.roomCount)</dd></dl>
                <p>Share a terminal with <code>postern share</code>, join one with <code>postern join CODE</code>.
                What crosses this server is encrypted between the people who share; it cannot read it.</p>
                <p>For programs: <a href="/health">/health</a></p></main>
                """)
    }

    private func invitation(_ code: CodeName) -> Page {
        Page(
            title: "You are invited to a terminal",
            body: """
                <main><h1>You are invited to a shared terminal</h1>
                <p>Copy this page's whole address, with everything behind the <code>#</code>, and run:</p>
                <p><code>postern join '…the address…'</code></p>
                <p>Code <code>\(code)</code>. The secret behind the # has not been sent to this server.</p></main>
                """)
    }

    /// "3 d 4 h", "5 min", "12 s".
    static func duration(_ seconds: Int) -> String {
        switch seconds {
        case ..<60: "\(seconds) s"
        case ..<3600: "\(seconds / 60) min"
        case ..<86400: "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        default: "\(seconds / 86400) d \(seconds % 86400 / 3600) h"
        }
    }
}
