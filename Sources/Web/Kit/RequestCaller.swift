import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

extension Authenticator {
    /// The caller behind a request of the API.
    /// - Throws: ``Refusal/unauthorized``; ``StorageError``.
    func caller(of request: Request, _ context: WebContext) async throws -> Caller {
        let header = request.headers[.authorization] ?? ""
        guard header.lowercased().hasPrefix("bearer ") else { throw Refusal.unauthorized }
        let token = String(header.dropFirst("bearer ".count))
        guard var caller = try await caller(token: token, address: context.address) else { throw Refusal.unauthorized }
        caller.userAgent = request.userAgent
        return caller
    }

    /// The signed-in browser behind a request, or nil.
    /// - Throws: ``StorageError``.
    func visit(of request: Request, _ context: WebContext) async throws -> Visit? {
        guard let secret = Cookies.value(Cookies.signIn, of: request),
            let (signIn, found) = try await signIn(cookie: secret, address: context.address)
        else { return nil }
        var caller = found
        caller.userAgent = request.userAgent
        return Visit(signIn: signIn, caller: caller, formToken: FormToken(secret: secret))
    }
}

/// A signed-in browser.
struct Visit: Sendable {
    let signIn: SignIn
    let caller: Caller
    let formToken: FormToken
}

extension Request {
    /// What the program calls itself, without what could move a cursor; at most 200 characters.
    fileprivate var userAgent: String {
        String(String.UnicodeScalarView(VisibleText.escaped(headers[.userAgent] ?? "").unicodeScalars.prefix(200)))
    }
}
