import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

extension Authenticator {
    /// The caller of an API request.
    /// - Throws: ``Refusal/unauthorized``; ``StorageError``.
    func caller(of request: Request, _ context: WebContext) async throws -> Caller {
        let header = request.headers[.authorization] ?? ""
        guard header.lowercased().hasPrefix("bearer ") else { throw Refusal.unauthorized }
        let token = String(header.dropFirst("bearer ".count))
        guard var caller = try await caller(token: token, address: context.address) else { throw Refusal.unauthorized }
        caller.userAgent = request.userAgent
        return caller
    }

    /// The signed-in browser that sent a request, or nil.
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
    /// The program's name for itself, at most 200 characters, without characters that could move a cursor.
    fileprivate var userAgent: String {
        String(String.UnicodeScalarView(VisibleText.escaped(headers[.userAgent] ?? "").unicodeScalars.prefix(200)))
    }
}
