import HTTPTypes
import Hummingbird
import NIOCore
import Relay
import Storage
import Wire

/// `/sessions…`: a host's share sessions and their codes.
struct SessionRoutes: Sendable {
    let database: Database
    let authenticator: Authenticator
    let relay: RelayServer
    /// Random codes tried before giving up: with a million codes in use one try in 2,000 meets a taken one.
    private static let codeAttempts = 8

    func add(to router: Router<WebContext>) {
        router.post("/sessions", use: start)
        router.get("/sessions", use: list)
        router.delete("/sessions/:id", use: end)
        router.post("/sessions/:id/codes", use: createCode)
        router.get("/sessions/:id/codes", use: listCodes)
    }

    @Sendable private func start(_ request: Request, _ context: WebContext) async throws -> Response {
        let host = try await authenticator.user(of: request)
        let asked = try await request.value(NewSession.self)
        try Self.check(asked.hostPublicKey, "hostPublicKey", required: true)
        try Self.check(asked.sessionName ?? "", "sessionName", required: false)
        let session = try await database.write {
            try ShareSession.start(
                host: host, publicKey: asked.hostPublicKey, name: asked.sessionName, now: .now(), in: $0)
        }
        // The host has its return window to arrive, too: a session nobody came to must not stay.
        try await relay.expectHost(sessionId: session.id).get()
        return .json(SessionResource(session), status: .created)
    }

    @Sendable private func list(_ request: Request, _ context: WebContext) async throws -> Response {
        let host = try await authenticator.user(of: request)
        let sessions = try await database.read { connection in
            try ShareSession.active(ownedBy: host.id, in: connection).map { session in
                SessionResource(session, codes: try ShareCode.list(sessionId: session.id, in: connection))
            }
        }
        return .json(sessions)
    }

    @Sendable private func end(_ request: Request, _ context: WebContext) async throws -> Response {
        let host = try await authenticator.user(of: request)
        let id = try context.parameters.require("id")
        let ended = try await database.write(essential: true) { connection in
            guard let session = try ShareSession.active(id: id, in: connection), session.hostUserId == host.id else {
                return false
            }
            return try ShareSession.end(id: id, reason: .deleted, now: .now(), in: connection)
        }
        if ended { relay.sessionEnded(sessionId: id, reason: .deleted) }
        return Response(status: .noContent)
    }

    @Sendable private func createCode(_ request: Request, _ context: WebContext) async throws -> Response {
        let host = try await authenticator.user(of: request)
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

    @Sendable private func listCodes(_ request: Request, _ context: WebContext) async throws -> Response {
        let host = try await authenticator.user(of: request)
        let id = try context.parameters.require("id")
        let codes = try await database.read { connection in
            let session = try ShareSession.owned(id: id, by: host.id, in: connection)
            return try ShareCode.list(sessionId: session.id, in: connection)
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

extension SessionResource {
    init(_ session: ShareSession, codes: [ShareCode]? = nil) {
        self.init(
            id: session.id, hostUserId: session.hostUserId, hostPublicKey: session.hostPublicKey,
            sessionName: session.sessionName, startedAt: ISOTime.text(milliseconds: session.startedAt.milliseconds),
            endedAt: session.endedAt.map { ISOTime.text(milliseconds: $0.milliseconds) },
            codes: codes?.map(CodeResource.init))
    }
}
