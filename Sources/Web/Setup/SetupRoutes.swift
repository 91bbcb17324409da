import HTTPTypes
import Hummingbird
import NIOCore
import Storage
import Wire

/// `/setup/SECRET`: the one-time page that makes the first administrator.
struct SetupRoutes: Sendable {
    /// A form with one name in it, in bytes.
    private static let formBytes = 1024

    let database: Database
    let limiter: RateLimiter

    func add(to router: Router<WebContext>) {
        router.get("/setup/:secret", use: form)
        router.post("/setup/:secret", use: make)
    }

    @Sendable private func form(_ request: Request, _ context: WebContext) async throws -> Response {
        let secret = try secret(context)
        guard try await database.read({ try SetupLink.isGood(secret, now: .now(), in: $0) }) else {
            return used.response
        }
        return Page(
            title: "Set this Postern up",
            body: """
                <main><p class="brand">Postern</p><h1>Set this Postern up</h1>
                <p>You become its administrator. This page works once.</p>
                <form method="post"><label for="username">Your account's name</label>
                <input id="username" name="username" required maxlength="64" pattern="[A-Za-z0-9._\\-]+" autofocus
                autocomplete="username"> <button>Make the account</button></form></main>
                """, hasForm: true
        ).response
    }

    @Sendable private func make(_ request: Request, _ context: WebContext) async throws -> Response {
        let secret = try secret(context)
        let body = String(buffer: try await request.body.collect(upTo: Self.formBytes))
        guard let name = Self.field("username", of: body), Self.isName(name) else {
            throw APIError.badRequest("username: use letters, digits, '.', '-' and '_', at most 64.")
        }
        let token: APIToken
        do {
            (_, token) = try await database.write {
                try SetupLink.use(secret, username: name, now: .now(), in: $0)
            }
        } catch let refusal as Refusal where refusal.code == .setUp { return used.response }
        return Page(
            title: "This Postern is yours",
            body: """
                <main><p class="brand">Postern</p><h1 class="ok">This Postern is yours, \(Page.escaped(name))</h1>
                <p>Your API token. It is shown only now; keep it where you keep passwords:</p>
                <p><code>\(token.secret)</code></p>
                <p>On your own machine: <code>postern login</code> with this server's address, then
                <code>postern share</code>.</p></main>
                """
        ).response
    }

    private func secret(_ context: WebContext) throws -> String {
        if let wait = limiter.refuse(context.address) { throw APIError.rateLimited(retryAfter: wait) }
        return try context.parameters.require("secret")
    }

    private var used: Page {
        Page(
            title: "This link does not work any more",
            body: """
                <main><p class="brand">Postern</p><h1 class="warning">This link does not work any more</h1>
                <p>It was used, or is older than 30 minutes. On the server, <code>postern setup</code> prints a new one, or says
                that the server has an administrator already.</p></main>
                """)
    }

    /// One field of `application/x-www-form-urlencoded`. Not decoded: a name that needs encoding is no name.
    static func field(_ name: String, of body: String) -> String? {
        for pair in body.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 && parts[0] == name { return String(parts[1]) }
        }
        return nil
    }

    private static func isName(_ name: String) -> Bool {
        (1...64).contains(name.count)
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2E || $0 == 0x2D
                    || $0 == 0x5F
            }
    }
}
