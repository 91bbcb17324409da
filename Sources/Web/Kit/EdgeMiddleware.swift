import HTTPTypes
import Hummingbird
import Logging
import Model
import Sockets
import Telemetry
import Tunnels
import Wire

/// The outermost layer of every request: gives it an id, turns errors into the API's one shape, logs server errors (5xx), and answers what no
/// handler answers: other methods, OPTIONS, bodies that are too long.
struct EdgeMiddleware: RouterMiddleware {
    /// A year, in seconds: what browsers ask for.
    private static let hstsSeconds = 31_536_000
    /// How long a browser may remember the answer to a preflight, in seconds: a day.
    private static let preflightSeconds = 86_400

    let metrics: RequestMetrics
    let events: ConnectionEvents
    let routes: RouteTable
    let hsts: Bool
    /// Hosts below the tunnel domain are not this server's own.
    let tunnels: TunnelConfiguration
    /// Where people who reached a limit of their plan are sent; nil for the plan's page here.
    let upgradeURL: String?

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        defer { metrics.took(since: start) }
        var response: Response
        do {
            try refuseTunnels(request)
            // Before anything of it is read; a client that waits for 100 never sends it.
            let bounds = routes.bounds(request.method.rawValue, request.uri.path)
            if bounds.isExceeded(byContentLength: request.headers[.contentLength]) {
                throw APIError.tooLarge(bounds.bodyBytes)
            }
            response = try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            // The router's word: our own handlers refuse with other errors.
            do { response = try unrouted(request) } catch { response = answer(to: error, request, context) }
        } catch {
            response = answer(to: error, request, context)
        }
        finish(&response, request, context)
        if request.method == .get { try await ContentCoding.apply(to: &response, for: request) }
        return response
    }

    /// A connection for this server's own name carries no requests for tunnels, and the other way round.
    private func refuseTunnels(_ request: Request) throws {
        guard let authority = request.head.authority else { return }
        let host = authority.lowercased().prefix { $0 != ":" }
        guard tunnels.name(in: String(host)) != nil else { return }
        throw APIError(
            .misdirectedRequest, "misdirected", "This connection is not for \(host); open a new one for that name.")
    }

    /// A method that the path does not know, or a path that is not known.
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
                    // The route and not the path: a path may hold a secret.
                    "route": "\(context.endpointPath ?? "-")", "error": "\(error)",
                ])
        }
        if answer.status == .contentTooLarge {
            events.tooLarge()
            // What is left of the body is not read.
            answer.headers[.connection] = "close"
        }
        answer.body.requestId = context.id
        if answer.body.plan != nil { answer.body.upgradeUrl = upgradeURL ?? "/organisation/plan" }
        if wantsPage(request) { return ErrorPage(answer, context).responseToBrowser() }
        var response = Response.json(answer.body, status: answer.status)
        for field in answer.headers { response.headers[field.name] = field.value }
        return response
    }

    /// A browser that shows the answer to a person: programs, and scripts in pages, do not ask for HTML.
    private func wantsPage(_ request: Request) -> Bool {
        guard request.headers[.accept]?.contains("text/html") == true else { return false }
        return routes.entry(for: request.uri.path)?.isPage ?? true
    }

    private func finish(_ response: inout Response, _ request: Request, _ context: WebContext) {
        response.headers[.requestId] = context.id
        response.headers[.contentTypeOptions] = "nosniff"
        if hsts { response.headers[.strictTransportSecurity] = "max-age=\(Self.hstsSeconds)" }
        metrics.answered(status: response.status.code)
        // A handler that says how long its answer may be kept knows it best.
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        // The API is for programs in any page: they send a bearer token, and a browser adds nothing to it. Pages know their reader by a
        // cookie, and no other site may read them.
        // No CORS on /metrics: it trusts local programs, and a local browser would show it to any page.
        if routes.entry(for: request.uri.path)?.isPage != true, request.uri.path != "/metrics" {
            response.headers[.accessControlAllowOrigin] = "*"
            response.headers[.accessControlExposeHeaders] = "x-request-id, retry-after"
        }
    }
}

extension HTTPField.Name {
    // These are valid field names; only an invalid one would give nil.
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
    /// The body as a value.
    /// - Throws: ``MessageError`` naming the field, or Hummingbird's "content too large".
    func value<Value: Decodable>(_ type: Value.Type) async throws -> Value {
        let bytes = try await body.collect(upTo: WebConfiguration.bodyBytes)
        if bytes.readableBytes == 0 { throw APIError.badRequest("The body is missing; send JSON.") }
        return try JSONText.decode(type, from: bytes)
    }
}
