import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/codes/…`: looking up a code, which anybody may do, and revoking one's own code.
struct CodeRoutes: Sendable {
    let shares: ShareOperations

    func add(to routes: Routes) {
        routes.open(
            .get, "/codes/:code/validate", limit: .publicCalls,
            about: RouteText("Whether a code can be used to join", .ok(CodeValidation.self, "Valid, or why not.")),
            use: validate)
        routes.on(
            .delete, "/codes/:code", for: .member(.sessionCreate),
            about: RouteText("Revokes a code: it can no longer be used to join", .done("Revoked.")), use: revoke)
    }

    @Sendable private func validate(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let code = ShareCodeId(try context.parameters.require("code")) else {
            return .json(CodeValidation(error: "Code not found"))
        }
        do {
            return .json(CodeValidation(try await shares.open(code)))
        } catch let refusal as Refusal {
            return .json(CodeValidation(error: refusal.message))
        }
    }

    @Sendable private func revoke(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        guard let code = ShareCodeId(try context.parameters.require("code")) else {
            throw Refusal(.notFound, "Code not found")
        }
        try await shares.revoke(code, by: caller)
        return .done
    }
}

extension CodeValidation {
    init(_ opened: OpenCode) {
        self.init(
            permission: opened.code.permission,
            session: Session(
                id: opened.session.id, sessionName: opened.session.sessionName, hostUsername: opened.host.username))
    }
}

extension CodeResource {
    init(_ code: ShareCode) {
        self.init(
            code: code.code, sessionId: code.sessionId, permission: code.permission, maxUses: code.maxUses,
            currentUses: code.currentUses,
            expiresAt: code.expiresAt.map { $0.iso },
            revoked: code.revokedAt != nil, createdAt: code.createdAt.iso)
    }
}

extension ShareCode.Request {
    /// The maximum lifetime in minutes: ten years, so that adding it to any time gives a valid date.
    static let longestMinutes = 10 * 366 * 24 * 60

    /// - Throws: ``APIError`` naming the field.
    init(_ asked: NewCode) throws {
        if let uses = asked.maxUses, uses < 1 || uses > Int(Int32.max) {
            throw APIError.badRequest("maxUses must be between 1 and \(Int32.max)")
        }
        if let minutes = asked.expiresInMinutes, minutes < 0 || minutes > Self.longestMinutes {
            throw APIError.badRequest("expiresInMinutes must be between 0 and \(Self.longestMinutes)")
        }
        self.init(permission: asked.permission, maxUses: asked.maxUses, expiresInMinutes: asked.expiresInMinutes)
    }
}
