import CertificateAuthorities
import HTTPTypes
import Hummingbird
import NIOCore
import TransportSecurity

/// The routes of port 80: answers certificate authorities and redirects all other requests to HTTPS.
struct RedirectRoutes: Sendable {
    /// The public HTTPS port. Nil for the standard port.
    let port: Int?
    /// The names in this server's certificates. Empty if the certificate is for any name.
    let names: [String]
    let answers: ChallengeAnswers
    /// Whether a host is a name below the tunnel domain or an organisation's own domain. Requests for these are redirected, too.
    let isTunnels: @Sendable (String) -> Bool

    func add(to router: Router<WebContext>) {
        let (port, answers) = (self.port, self.answers)
        router.get("/.well-known/acme-challenge/:token") { _, context in
            guard let answer = answers.answer(token: try context.parameters.require("token")) else {
                return Response(status: .notFound)
            }
            return Response(
                status: .ok, headers: [.contentType: "application/octet-stream"],
                body: .init(byteBuffer: ByteBuffer(string: answer)))
        }
        router.add(middleware: RedirectMiddleware(port: port, names: names, isTunnels: isTunnels))
    }
}

/// Redirects requests without a route to the same path on HTTPS. 308: a POST stays a POST.
private struct RedirectMiddleware: RouterMiddleware {
    let port: Int?
    let names: [String]
    let isTunnels: @Sendable (String) -> Bool

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        if request.uri.path.hasPrefix("/.well-known/acme-challenge/") {
            do { return try await next(request, context) } catch { return Response(status: .notFound) }
        }
        guard let asked = Self.host(request.head.authority) else { return Response(status: .badRequest) }
        // If the names of this server are known, do not redirect to any other name in Host.
        let isOurs =
            names.isEmpty || names.contains { $0.lowercased() == asked.lowercased() }
            || isTunnels(asked.lowercased())
        let host = isOurs ? String(asked) : names[0]
        let target = "https://\(host)\(port.map { ":\($0)" } ?? "")\(request.head.path ?? "/")"
        return Response(status: .permanentRedirect, headers: [.location: target, .connection: "close"])
    }

    /// The host without its port. Nil if it contains characters that could break out of a header.
    private static func host(_ authority: String?) -> Substring? {
        guard let authority, authority.utf8.count <= 255 else { return nil }
        let end = authority.hasPrefix("[") ? authority.firstIndex(of: "]").map(authority.index(after:)) : nil
        let host = end.map { authority[..<$0] } ?? authority.prefix { $0 != ":" }
        let allowed = host.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: ":")).contains($0)
                || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "[")
                || $0 == UInt8(ascii: "]")
        }
        return allowed && !host.isEmpty ? host : nil
    }
}
