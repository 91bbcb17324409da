import Hummingbird
import NIOCore
import Wire

/// `/j/…`: what somebody sees in a browser who follows an invitation.
struct InvitationPage: Sendable {
    func add(to routes: Routes) {
        routes.openPage(.get, "/j/:code", limit: .none) { _, context in
            // The secret stands in the fragment, which browsers keep to themselves: this page cannot show the whole link.
            guard let code = ShareCodeId(try context.parameters.require("code")) else {
                throw APIError(
                    .notFound, "code_not_found", "This is not a share code; ask the host for the link again.")
            }
            return invitation(code).response
        }
    }

    private func invitation(_ code: ShareCodeId) -> Page {
        Page(
            title: "You are invited to a terminal",
            body: """
                <main><p class="brand">Postern</p><h1>You are invited to a shared terminal</h1>
                <p>Copy this page's whole address, with everything behind the <code>#</code>, and run:</p>
                <p><code>postern join '…the address…'</code></p>
                <p>Code <code>\(code.description)</code>. The secret behind the # has not been sent to this server.</p></main>
                """)
    }
}
