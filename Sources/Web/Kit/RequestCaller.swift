import Hummingbird
import Operations
import Storage

extension Authenticator {
    /// The caller behind a request of the API.
    /// - Throws: ``Refusal/unauthorized``; ``StorageError``.
    func caller(of request: Request, _ context: WebContext) async throws -> Caller {
        let header = request.headers[.authorization] ?? ""
        guard header.lowercased().hasPrefix("bearer ") else { throw Refusal.unauthorized }
        let token = String(header.dropFirst("bearer ".count))
        guard let caller = try await caller(token: token, address: context.address) else { throw Refusal.unauthorized }
        return caller
    }

    /// The signed-in browser behind a request, or nil.
    /// - Throws: ``StorageError``.
    func visit(of request: Request, _ context: WebContext) async throws -> Visit? {
        guard let secret = Cookies.value(Cookies.signIn, of: request),
            let (signIn, caller) = try await signIn(cookie: secret, address: context.address)
        else { return nil }
        return Visit(signIn: signIn, caller: caller, formToken: FormToken(secret: secret))
    }
}

/// A signed-in browser.
struct Visit: Sendable {
    let signIn: SignIn
    let caller: Caller
    let formToken: FormToken
}
