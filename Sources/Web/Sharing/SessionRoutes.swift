import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Operations
import Storage
import Wire

/// `/sessions…`: a host's share sessions and their codes.
struct SessionRoutes: Sendable {
    let shares: ShareOperations

    func add(to routes: Routes) {
        routes.on(
            .post, "/sessions", for: .member(.sessionCreate),
            about: RouteText(
                "Starts a share session", takes: NewSession.self, .created(SessionResource.self, "Started.")),
            use: start)
        routes.on(
            .get, "/sessions", for: .credential,
            about: RouteText(
                "The caller's active sessions with their codes",
                query: [
                    .init("all", .words(["yes", "no"]), "All in the organisation; needs session:read_all.")
                ],
                .ok([SessionResource].self, "Newest first.")), use: list)
        routes.on(
            .delete, "/sessions/:id", for: .credential,
            about: RouteText(
                "Ends a session; no effect if it has ended or is not the caller's", .done("Ended.")), use: end)
        routes.on(
            .post, "/sessions/:id/codes", for: .member(.sessionCreate),
            about: RouteText("Creates a code", takes: NewCode.self, .created(CodeResource.self, "The new code.")),
            use: createCode
        )
        routes.on(
            .get, "/sessions/:id/codes", for: .member(.sessionCreate),
            about: RouteText("A session's codes that are not revoked", .ok([CodeResource].self, "Its codes.")),
            use: listCodes)
    }

    @Sendable private func start(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response {
        let asked = try await request.value(NewSession.self)
        try Self.checkKey(asked.hostPublicKey)
        let session = try await shares.start(publicKey: asked.hostPublicKey, name: asked.sessionName, by: host)
        return .json(SessionResource(session), status: .created)
    }

    /// `?all=yes` for all sessions, if the role allows it.
    @Sendable private func list(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response {
        let wantsAll = try request.yesOrNo("all")
        let sessions = try await shares.list(all: wantsAll, by: host)
        return .json(sessions.map { SessionResource($0.session, codes: $0.codes) })
    }

    @Sendable private func end(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response {
        _ = try await shares.end(try context.parameters.require("id"), by: host)
        return .done
    }

    @Sendable private func createCode(_ request: Request, _ context: WebContext, _ host: Caller) async throws
        -> Response
    {
        let id = try context.parameters.require("id")
        let asked = try await request.value(NewCode.self)
        let wanted = try ShareCode.Request(asked)
        let code = try await shares.createCode(wanted, sessionId: id, by: host)
        return .json(CodeResource(code), status: .created)
    }

    @Sendable private func listCodes(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response
    {
        let id = try context.parameters.require("id")
        let codes = try await shares.codes(of: id, by: host)
        return .json(codes.map(CodeResource.init))
    }

    /// Checks a key: keys are written in printable ASCII.
    private static func checkKey(_ text: String) throws {
        guard (1...WireLimits.shortTextBytes).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else {
            throw APIError.badRequest(
                "hostPublicKey: use 1 to \(WireLimits.shortTextBytes) characters of printable ASCII.")
        }
    }
}

extension SessionResource {
    init(_ session: ShareSession, codes: [ShareCode]? = nil) {
        self.init(
            id: session.id, hostUserId: session.hostUserId, hostPublicKey: session.hostPublicKey,
            sessionName: session.sessionName, startedAt: session.startedAt.iso,
            endedAt: session.endedAt.map { $0.iso },
            codes: codes?.map(CodeResource.init))
    }
}
