import Database
import Hummingbird
import Model
import Storage
import Wire

/// `/codes/…`: what anybody may ask about a code, and revoking one's own.
struct CodeRoutes: Sendable {
    let database: Database

    func add(to routes: Routes) {
        routes.open(.get, "/codes/:code/validate", limit: .publicCalls, use: validate)
        routes.on(.delete, "/codes/:code", for: .member(.sessionCreate), use: revoke)
    }

    @Sendable private func validate(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let code = CodeName(try context.parameters.require("code")) else {
            return .json(CodeValidation(error: "Code not found"))
        }
        do {
            let opened = try await database.read { try OpenCode.find(code: code.description, now: .now(), in: $0) }
            return .json(CodeValidation(opened))
        } catch let refusal as Refusal {
            return .json(CodeValidation(error: refusal.message))
        }
    }

    @Sendable private func revoke(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        guard let code = CodeName(try context.parameters.require("code")) else {
            throw Refusal(.notFound, "Code not found")
        }
        try await database.write(essential: true) {
            try ShareCode.revoke(code: code.description, by: caller, now: .now(), in: $0.tenant(caller.organisationId))
        }
        return .done
    }
}

extension CodeValidation {
    init(_ opened: OpenCode) {
        self.init(
            permission: Permission(opened.code.permission),
            session: Session(
                id: opened.session.id, sessionName: opened.session.sessionName, hostUsername: opened.host.username))
    }
}

extension CodeResource {
    init(_ code: ShareCode) {
        self.init(
            code: code.code, sessionId: code.sessionId, permission: Permission(code.permission), maxUses: code.maxUses,
            currentUses: code.currentUses,
            expiresAt: code.expiresAt.map { ISOTime.text(milliseconds: $0.milliseconds) },
            revoked: code.revokedAt != nil, createdAt: ISOTime.text(milliseconds: code.createdAt.milliseconds))
    }
}

extension Permission {
    init(_ stored: ShareCode.Permission) {
        switch stored {
        case .read: self = .read
        case .control: self = .control
        }
    }
}

extension ShareCode.Request {
    /// Longest life that can be asked for, in minutes: ten years, so that the sum with any clock stays a date.
    private static let longestMinutes = 10 * 366 * 24 * 60

    /// - Throws: ``APIError`` naming the field.
    init(_ asked: NewCode) throws {
        if let uses = asked.maxUses, uses < 1 || uses > Int(Int32.max) {
            throw APIError.badRequest("maxUses is not between 1 and \(Int32.max)")
        }
        if let minutes = asked.expiresInMinutes, minutes < 0 || minutes > Self.longestMinutes {
            throw APIError.badRequest("expiresInMinutes is not between 0 and \(Self.longestMinutes)")
        }
        let permission: ShareCode.Permission = asked.permission == .control ? .control : .read
        self.init(permission: permission, maxUses: asked.maxUses, expiresInMinutes: asked.expiresInMinutes)
    }
}
