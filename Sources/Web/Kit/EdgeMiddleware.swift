import HTTPTypes
import Hummingbird
import Logging
import Model
import Sockets
import Telemetry
import Wire

/// The outermost middleware of every request. It assigns an id, turns errors into the API's error format, logs server
/// errors (5xx), and answers requests that no handler answers: other methods, OPTIONS, bodies that are too long.
struct EdgeMiddleware: RouterMiddleware {
    /// A year, in seconds, as browsers recommend.
    private static let hstsSeconds = 31_536_000
    /// How long a browser may cache the response to a preflight, in seconds: a day.
    private static let preflightSeconds = 86_400

    let metrics: RequestMetrics
    let events: ConnectionEvents
    let routes: RouteTable
    let hsts: Bool
    /// Whether a host belongs to a tunnel and not to this server.
    let isTunnels: @Sendable (String) -> Bool
    /// The address for people who reached a limit of their plan. Nil for the plan's page on this server.
    let upgradeURL: String?

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        defer { metrics.took(since: start) }
        var response: Response
        do {
            try refuseTunnels(request)
            // Checked before the body is read: a client that waits for 100 never sends it.
            let bounds = routes.bounds(request.method.rawValue, request.uri.path)
            if bounds.isExceeded(byContentLength: request.headers[.contentLength]) {
                throw APIError.tooLarge(bounds.bodyBytes)
            }
            response = try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            // Thrown by the router: our own handlers throw other errors.
            do { response = try unrouted(request) } catch { response = answer(to: error, request, context) }
        } catch {
            response = answer(to: error, request, context)
        }
        finish(&response, request, context)
        if request.method == .get { try await ContentCoding.apply(to: &response, for: request) }
        return response
    }

    /// A connection for this server's own name carries no requests for tunnels, and a connection for a tunnel carries
    /// none for this server.
    private func refuseTunnels(_ request: Request) throws {
        guard let authority = request.head.authority else { return }
        let host = authority.lowercased().prefix { $0 != ":" }
        guard isTunnels(String(host)) else { return }
        throw APIError(
            .misdirectedRequest, "misdirected", "This connection is not for \(host); open a new one for that name.")
    }

    /// The response for a method that the path does not support, or for an unknown path.
    private func unrouted(_ request: Request) throws -> Response {
        guard let entry = routes.entry(for: request.uri.path) else { throw APIError.notFound }
        guard request.method == .options else { throw APIError.methodNotAllowed(entry.allow) }
        var headers: HTTPFields = [.allow: entry.allow]
        if !entry.isPage {
            headers[.accessControlAllowMethods] = entry.allow
            headers[.accessControlAllowHeaders] = "authorization, content-type"
            headers[.accessControlMaxAge] = "\(Self.preflightSeconds)"
        }
        return Response(status: .noContent, headers: headers)
    }

    private func answer(to error: any Error, _ request: Request, _ context: WebContext) -> Response {
        var answer = APIError(error)
        if answer.status.code >= 500 {
            events.requestFailed(
                context.logger,
                metadata: [
                    // Log the route, not the path: a path may contain a secret.
                    "route": "\(context.endpointPath ?? "-")", "error": "\(error)",
                ])
        }
        if answer.status == .contentTooLarge {
            events.tooLarge()
            // The rest of the body is not read.
            answer.headers[.connection] = "close"
        }
        answer.body.requestId = context.id
        if answer.body.plan != nil { answer.body.upgradeUrl = upgradeURL ?? "/organisation/plan" }
        if wantsPage(request) { return ErrorPage(answer, context).responseToBrowser() }
        var response = Response.json(answer.body, status: answer.status)
        for field in answer.headers { response.headers[field.name] = field.value }
        return response
    }

    /// Whether a browser shows the response to a person. Programs and scripts in pages do not ask for HTML.
    private func wantsPage(_ request: Request) -> Bool {
        guard request.headers[.accept]?.contains("text/html") == true else { return false }
        return routes.entry(for: request.uri.path)?.isPage ?? true
    }

    private func finish(_ response: inout Response, _ request: Request, _ context: WebContext) {
        response.headers[.requestId] = context.id
        response.headers[.contentTypeOptions] = "nosniff"
        if hsts { response.headers[.strictTransportSecurity] = "max-age=\(Self.hstsSeconds)" }
        metrics.answered(status: response.status.code)
        // If the handler sets how long its response may be cached, that value is used.
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        // The API is for programs in any page: they send a bearer token, and a browser adds nothing to it. Pages
        // identify their reader by a cookie, and no other site may read them.
        // No CORS on /metrics: it trusts local programs, and a local browser would show it to any page.
        if routes.entry(for: request.uri.path)?.isPage != true, request.uri.path != "/metrics" {
            response.headers[.accessControlAllowOrigin] = "*"
            response.headers[.accessControlExposeHeaders] = "x-request-id, retry-after"
        }
    }
}

extension HTTPField.Name {
    // These are valid field names: only an invalid one returns nil.
    static let requestId = Self("X-Request-Id")!
    static let forwardedFor = Self("X-Forwarded-For")!
    static let contentTypeOptions = Self("X-Content-Type-Options")!
    static let robotsTag = Self("X-Robots-Tag")!
    static let referrerPolicy = Self("Referrer-Policy")!
    static let contentSecurityPolicy = Self("Content-Security-Policy")!
    static let accessControlExposeHeaders = Self("Access-Control-Expose-Headers")!
    static let accessControlMaxAge = Self("Access-Control-Max-Age")!
}

extension Response {
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: .init(byteBuffer: JSONText.encode(value)))
    }
}

extension Request {
    /// Decodes the body.
    /// - Throws: ``MessageError`` naming the field, or Hummingbird's "content too large".
    func value<Value: Decodable>(_ type: Value.Type) async throws -> Value {
        let bytes = try await body.collect(upTo: WebConfiguration.bodyBytes)
        if bytes.readableBytes == 0 { throw APIError.badRequest("The body is missing; send JSON.") }
        return try JSONText.decode(type, from: bytes)
    }
}
