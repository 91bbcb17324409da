import Database
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Relay
import Storage
import Wire

/// `/sessions…`: a host's share sessions and their codes.
struct SessionRoutes: Sendable {
    let database: Database
    let relay: RelayServer
    let service: SessionService
    /// Random codes tried before giving up: with a million codes in use one try in 2,000 meets a taken one.
    private static let codeAttempts = 8

    func add(to routes: Routes) {
        routes.on(.post, "/sessions", for: .member(.sessionCreate), use: start)
        routes.on(.get, "/sessions", for: .credential, use: list)
        routes.on(.delete, "/sessions/:id", for: .credential, use: end)
        routes.on(.post, "/sessions/:id/codes", for: .member(.sessionCreate), use: createCode)
        routes.on(.get, "/sessions/:id/codes", for: .member(.sessionCreate), use: listCodes)
    }

    @Sendable private func start(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response {
        let asked = try await request.value(NewSession.self)
        try Self.check(asked.hostPublicKey, "hostPublicKey", required: true)
        try Self.check(asked.sessionName ?? "", "sessionName", required: false)
        let (session, timeLimit) = try await database.write { connection in
            let session = try ShareSession.start(
                host: host, publicKey: asked.hostPublicKey, name: asked.sessionName, now: .now(), in: connection)
            let plan = try Organisation.find(id: session.organisationId, in: connection)?.plan ?? .free
            return (session, session.endsAt.map { TimeLimit(endsAt: $0, plan: plan) })
        }
        // The host has its return window to arrive, too: a session nobody came to must not stay.
        try await relay.expectHost(sessionId: session.id, timeLimit: timeLimit).get()
        return .json(SessionResource(session), status: .created)
    }

    /// `?all=yes` for everybody's, where the role allows it.
    @Sendable private func list(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response {
        let wantsAll = try request.yesOrNo("all") ?? false
        let sessions = try await database.read { connection -> [SessionResource] in
            let scope = connection.tenant(host.organisationId)
            do {
                _ = try host.member(may: wantsAll ? .sessionReadAll : .sessionCreate, in: connection)
            } catch let refusal as Refusal where refusal.code == .notAllowed && !wantsAll && host.scopes == nil {
                // Whose role shares nothing has nothing to list.
                return []
            }
            return try ShareSession.active(ownedBy: wantsAll ? nil : host.user.id, in: scope).map { session in
                // Others' codes would let in whoever sees them.
                let isOwn = session.hostUserId == host.user.id && host.hasScope(.sessionCreate)
                return SessionResource(
                    session, codes: isOwn ? try ShareCode.list(sessionId: session.id, in: scope) : nil)
            }
        }
        return .json(sessions)
    }

    @Sendable private func end(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response {
        _ = try await service.end(try context.parameters.require("id"), by: host)
        return .done
    }

    @Sendable private func createCode(_ request: Request, _ context: WebContext, _ host: Caller) async throws
        -> Response
    {
        let id = try context.parameters.require("id")
        let asked = try await request.value(NewCode.self)
        let wanted = try ShareCode.Request(asked)
        let candidates = (0..<Self.codeAttempts).map { _ in CodeName.random().description }
        let code = try await database.write {
            try ShareCode.create(
                wanted, sessionId: id, owner: host, candidates: candidates, now: .now(), in: $0)
        }
        return .json(CodeResource(code), status: .created)
    }

    @Sendable private func listCodes(_ request: Request, _ context: WebContext, _ host: Caller) async throws -> Response
    {
        let id = try context.parameters.require("id")
        let codes = try await database.read { connection in
            let scope = connection.tenant(host.organisationId)
            let session = try ShareSession.owned(id: id, by: host.user.id, in: scope)
            return try ShareCode.list(sessionId: session.id, in: scope)
        }
        return .json(codes.map(CodeResource.init))
    }

    private static func check(_ text: String, _ field: String, required: Bool) throws {
        if required && text.isEmpty { throw APIError.badRequest("\(field) is empty") }
        if text.utf8.count > WireLimits.shortTextBytes {
            throw APIError.badRequest("\(field) is longer than \(WireLimits.shortTextBytes) bytes")
        }
    }
}

extension TimeLimit {
    init(endsAt: Timestamp, plan: Plan) {
        self.init(
            endsAtMilliseconds: endsAt.milliseconds,
            reason: "the time for one session on the \(plan.rawValue) plan is over")
    }
}

extension SessionResource {
    init(_ session: ShareSession, codes: [ShareCode]? = nil) {
        self.init(
            id: session.id, hostUserId: session.hostUserId, hostPublicKey: session.hostPublicKey,
            sessionName: session.sessionName, startedAt: ISOTime.text(milliseconds: session.startedAt.milliseconds),
            endedAt: session.endedAt.map { ISOTime.text(milliseconds: $0.milliseconds) },
            codes: codes?.map(CodeResource.init))
    }
}
