import Database
import HTTPTypes
import Hummingbird
import Limits
import Model
import Operations
import Sockets
import Storage
import Telemetry
import Wire

/// Declares routes: a method, a path, who may use it, and its handler. There is no other way to add a route.
///
/// A route for members names its organisation as `:organisation` in the path, or uses the credential's own one.
final class Routes {
    typealias OpenHandler = @Sendable (Request, WebContext) async throws -> Response
    typealias Handler = @Sendable (Request, WebContext, Caller) async throws -> Response

    private let router: Router<WebContext>
    private let authenticator: Authenticator
    private let database: Database
    private let table: RouteTable
    private let publicCalls: RateLimiter
    private let changes: ChangeFeed
    private(set) var descriptions: [RouteDescription] = []

    init(
        router: Router<WebContext>, table: RouteTable, publicCalls: RateLimiter, authenticator: Authenticator,
        database: Database, changes: ChangeFeed
    ) {
        self.changes = changes
        self.router = router
        self.table = table
        self.publicCalls = publicCalls
        self.authenticator = authenticator
        self.database = database
    }

    private func describe(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, isPage: Bool, _ bounds: RequestBounds,
        _ about: RouteText?
    ) {
        descriptions.append(
            RouteDescription(method: method.rawValue, path: path, access: access, isPage: isPage, about: about))
        table.add(method.rawValue, path, isPage: isPage, bounds: bounds)
    }

    /// A route of the API for everybody. Each declares how often one address may call it.
    func open(
        _ method: HTTPRequest.Method, _ path: String, limit: RouteLimit, bounds: RequestBounds = .standard,
        about: RouteText, use handler: @escaping OpenHandler
    ) {
        describe(method, path, .anyone, isPage: false, bounds, about)
        add(method, path, limit, handler)
    }

    /// A page for everybody.
    func openPage(
        _ method: HTTPRequest.Method, _ path: String, limit: RouteLimit, use handler: @escaping OpenHandler
    ) {
        describe(method, path, .anyone, isPage: true, .standard, nil)
        add(method, path, limit, handler)
    }

    private func add(
        _ method: HTTPRequest.Method, _ path: String, _ limit: RouteLimit, _ handler: @escaping OpenHandler
    ) {
        let publicCalls = self.publicCalls
        router.on(RouterPath(path), method: method) { request, context in
            if limit == .publicCalls { try publicCalls.take(context) }
            return try await handler(request, context)
        }
    }

    /// A route of the API that requires a valid bearer token.
    func on(
        _ method: HTTPRequest.Method, _ path: String, for access: Access, limit: RouteLimit = .none,
        bounds: RequestBounds = .standard, about: RouteText, use handler: @escaping Handler
    ) {
        describe(method, path, access, isPage: false, bounds, about)
        let (authenticator, database, publicCalls) = (self.authenticator, self.database, self.publicCalls)
        router.on(RouterPath(path), method: method) { request, context in
            if limit == .publicCalls { try publicCalls.take(context) }
            let caller = try await authenticator.caller(of: request, context)
            return try await database.recordingDenials(caller, access, context) {
                try await database.admit(caller, to: access, context)
                return try await handler(request, context, caller)
            }
        }
    }

    typealias PageHandler = @Sendable (PageRequest) async throws -> Response

    /// A page for signed-in browsers. Others are redirected to the sign-in page first.
    /// - Parameter page: for a form: the page that contains it, which is shown again if the form is refused.
    func page(
        _ method: HTTPRequest.Method, _ path: String, for access: Access, in page: PageHandler? = nil,
        use handler: @escaping PageHandler
    ) {
        describe(method, path, access, isPage: true, .standard, nil)
        let (authenticator, database, changes) = (self.authenticator, self.database, self.changes)
        router.on(RouterPath(path), method: method) { request, context -> Response in
            guard let visit = try await authenticator.visit(of: request, context) else {
                // A form is not sent again after the sign-in: only the address of a page is kept whole.
                let query = method == .get ? request.uri.query.map { "?\($0)" } ?? "" : ""
                return .redirect(to: "/sign-in?next=\(FormText.encoded(request.uri.path + query))", type: .normal)
            }
            let member = try await database.member(visit.caller)
            let seen = changes.position
            // Nil until the person is admitted and the form is read. Only then can it be shown again.
            var taken: Form?
            do {
                return try await database.recordingDenials(visit.caller, access, context) {
                    try await database.admit(visit.caller, to: access, context)
                    let form = method == .post ? try await Form.read(request, context, visit.formToken) : Form("")
                    if method == .post { taken = form }
                    return try await handler(
                        PageRequest(
                            request: request, context: context, visit: visit, member: member, form: form, seen: seen))
                }
            } catch {
                // The page that was asked for comes after the sign-on.
                if method == .get, (error as? Refusal)?.code == .signOnNeeded {
                    let next = FormText.encoded(request.uri.path + (request.uri.query.map { "?\($0)" } ?? ""))
                    return .redirect(to: "/organisation/sign-on?next=\(next)", type: .normal)
                }
                let refusal = APIError(error)
                if let page, let taken {
                    let wanted = PageRequest(
                        request: request, context: context, visit: visit, member: member, form: Form(""), seen: seen,
                        returned: ReturnedForm(taken, to: request.uri.path, refusal))
                    if let again = try await Self.shown(page, wanted, refusal) { return again }
                }
                return ErrorPage(refusal, context).response(
                    in: Navigation(visit: visit, member: member, path: request.uri.path))
            }
        }
    }

    /// The page of a refused form, with the entered values. Nil if the person did not make the mistake, or if the page cannot be shown.
    private static func shown(
        _ page: PageHandler, _ request: PageRequest, _ refusal: APIError
    ) async throws -> Response? {
        guard refusal.status.kind == .clientError else { return nil }
        do {
            var response = try await page(request)
            response.status = refusal.status
            for field in refusal.headers { response.headers[field.name] = field.value }
            return response
        } catch let error where APIError(error).status.kind == .clientError {
            // The object of the page no longer exists, or the person may not see it.
            return nil
        }
    }
}

extension Database {
    /// The caller's membership in the sign-in's organisation. Nil if the organisation is deleted.
    /// - Throws: ``StorageError``.
    fileprivate func member(_ caller: Caller) async throws -> Member? {
        let found = try await read {
            try Member.find(userId: caller.user.id, organisationId: caller.organisationId, in: $0)
        }
        return found?.organisation.deleteAfter == nil ? found : nil
    }

    /// Whether the caller may use a route. Checked before the request's body is read. The handler checks again in its own transaction.
    /// - Throws: ``Refusal``; ``StorageError``.
    fileprivate func admit(_ caller: Caller, to access: Access, _ context: WebContext) async throws {
        let organisation = context.parameters.get("organisation")
        switch access {
        case .anyone, .credential: return
        case .account: try caller.requireUnrestricted()
        case .administrator: try caller.requireAdministrator()
        case .member(let key): _ = try await read { try caller.member(of: organisation, may: key, in: $0) }
        case .memberEvenIfDeleted(let key):
            _ = try await read { try caller.member(of: organisation, may: key, whileDeleted: true, in: $0) }
        case .memberBeforeSignOn(let key):
            _ = try await read { try caller.member(of: organisation, may: key, needsSignOn: false, in: $0) }
        }
    }

    /// Runs `body`. Records a `.notAllowed` refusal in the audit log and rethrows it.
    fileprivate func recordingDenials(
        _ caller: Caller, _ access: Access, _ context: WebContext, _ body: () async throws -> Response
    ) async throws -> Response {
        do {
            return try await body()
        } catch let refusal as Refusal where refusal.code == .notAllowed {
            let route = context.endpointPath ?? "-"
            let log =
                access == .administrator
                ? Audit.appliance : context.parameters.get("organisation") ?? caller.organisationId
            try await write {
                // Requests of strangers are not events of the organisation.
                let isMember = try Member.find(userId: caller.user.id, organisationId: log, in: $0) != nil
                try Audit.record(
                    .refused, target: route, detail: refusal.message, result: .refused, by: caller, now: .now(),
                    in: $0.tenant(isMember || log == Audit.appliance ? log : caller.user.id))
            }
            throw refusal
        }
    }
}

extension RateLimiter {
    /// - Throws: ``APIError`` `rate_limited`.
    fileprivate func take(_ context: WebContext) throws {
        if let wait = take(context.address) { throw Refusal.rateLimited(retryAfter: wait) }
    }
}

extension Response {
    /// A response without a body.
    static var done: Response { Response(status: .noContent) }
}
