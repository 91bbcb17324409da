import HTTPTypes
import Hummingbird
import Logging
import Telemetry
import Wire

/// The outermost layer of every request: gives it an id, turns errors into the API's one shape, and logs each once.
struct EdgeMiddleware: RouterMiddleware {
    /// A year, in seconds: what browsers ask for.
    private static let hstsSeconds = 31_536_000

    let metrics: ServerMetrics
    let events: DoorEvents
    let hsts: Bool
    /// Where people who reached a limit of their plan are sent; nil for the plan's page here.
    let upgradeURL: String?

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        defer { metrics.requestSeconds.record(since: start) }
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            var answer = APIError(error)
            if answer.status.code >= 500 {
                events.requestFailed(
                    context.logger,
                    metadata: [
                        // The route and not the path: a path may hold a secret.
                        "method": "\(request.method.rawValue)", "route": "\(context.endpointPath ?? "-")",
                        "error": "\(error)",
                    ])
            }
            if answer.status == .contentTooLarge { events.tooLarge() }
            answer.body.requestId = context.id
            if answer.body.plan != nil { answer.body.upgradeUrl = upgradeURL ?? "/organisation/plan" }
            response = .json(answer.body, status: answer.status)
            for field in answer.headers { response.headers[field.name] = field.value }
        }
        response.headers[.requestId] = context.id
        response.headers[.contentTypeOptions] = "nosniff"
        if hsts { response.headers[.strictTransportSecurity] = "max-age=\(Self.hstsSeconds)" }
        metrics.responses[min(response.status.code / 100, metrics.responses.count - 1)].add()
        if request.uri.path != "/" && request.uri.path != "/status" { response.headers[.cacheControl] = "no-store" }
        return response
    }
}

extension HTTPField.Name {
    // These are valid field names; only an invalid one would give nil.
    static let requestId = Self("X-Request-Id")!
    static let contentTypeOptions = Self("X-Content-Type-Options")!
    static let referrerPolicy = Self("Referrer-Policy")!
    static let contentSecurityPolicy = Self("Content-Security-Policy")!
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
