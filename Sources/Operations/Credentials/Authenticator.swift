public import Background
public import Database
public import Logging
import Model
public import Storage
import Telemetry
import Wire

/// Finds the caller for an API token, an access token or a browser's cookie.
public struct Authenticator: Sendable {
    public let database: Database
    public let tokens: AccessTokens
    private let plainTokens = RateLimitedLog(
        "access tokens without a plan count as free; sign in again to get a new one")
    private let background: BackgroundWork
    private let logger: Logger

    public init(database: Database, tokens: AccessTokens, background: BackgroundWork, logger: Logger) {
        self.background = background
        self.database = database
        self.tokens = tokens
        self.logger = logger
    }

    // MARK: Bearer tokens

    /// The caller for a token, or nil.
    /// - Throws: ``StorageError``.
    public func caller(token: String, address: String) async throws -> Caller? {
        guard token.utf8.count <= WireLimits.tokenBytes else { return nil }
        let now = Timestamp.now()
        // RFC 7515, section 2: without padding. Each token has exactly one spelling.
        guard !token.contains("=") else { return nil }
        if token.hasPrefix(APIToken.prefix) { return try await caller(apiToken: token, address, now) }
        guard let payload = try await tokens.verified(token, now: now) else { return nil }
        return try await caller(payload, address, now)
    }

    private func caller(apiToken: String, _ address: String, _ now: Timestamp) async throws -> Caller? {
        let found = try await database.read { connection -> (Caller, Bool)? in
            guard let caller = try APIToken.caller(of: apiToken, address: address, now: now, in: connection),
                let id = caller.credential.id
            else { return nil }
            return (caller, try APIToken.needsMark(id: id, now: now, in: connection))
        }
        guard let (caller, needsMark) = found else { return nil }
        if needsMark, let id = caller.credential.id {
            // Nobody waits for this write. If it fails, the next use stores the time.
            background.run { [database] in try? await database.write { try APIToken.markUsed(id: id, now: now, in: $0) }
            }
        }
        return caller
    }

    private func caller(
        _ payload: AccessTokens.Payload, _ address: String, _ now: Timestamp
    ) async throws -> Caller? {
        // A token of an older version names no credential and cannot be revoked. The person must sign in again to get a new token.
        guard let credential = payload.cred.flatMap(Caller.Credential.init(claim:)) else { return nil }
        let claims = claims(of: payload)
        return try await database.read { connection in
            switch credential {
            case .signIn(let id):
                guard let signIn = try SignIn.find(id: id, now: now, in: connection) else { return nil }
                return try signIn.caller(
                    claims: claims, organisationId: payload.org, address: address, in: connection)
            case .apiToken:
                guard try credential.isGood(now: now, in: connection),
                    let user = try User.find(id: payload.subject, in: connection), user.disabledAt == nil
                else { return nil }
                return Caller(
                    user: user, organisationId: payload.org ?? user.id, credential: credential,
                    scopes: payload.scopes.map { Set($0.compactMap(PermissionKey.init)) }, claims: claims,
                    isStrong: payload.strong ?? false, address: address)
            case .machine, .command: return nil
            }
        }
    }

    private func claims(of payload: AccessTokens.Payload) -> Caller.Claims {
        if let plan = payload.plan.flatMap(Plan.init), let limits = payload.limits {
            return Caller.Claims(plan: plan, limits: PlanLimits(named: limits), endsAt: payload.endsAt)
        }
        plainTokens.log(to: logger)
        return Caller.Claims(
            plan: .free, limits: database.keysAndPlans.plans[.free], endsAt: payload.endsAt)
    }

    // MARK: Cookies

    /// The sign-in for a browser's cookie and its caller, or nil.
    /// - Throws: ``StorageError``.
    public func signIn(cookie secret: String, address: String) async throws -> (SignIn, Caller)? {
        let now = Timestamp.now()
        let found = try await database.read { connection -> (SignIn, Caller)? in
            guard let signIn = try SignIn.find(cookie: secret, now: now, in: connection),
                let caller = try signIn.caller(address: address, in: connection)
            else { return nil }
            return (signIn, caller)
        }
        guard let (signIn, caller) = found else { return nil }
        if signIn.needsMark(now: now) {
            background.run { [database] in
                try? await database.write { try signIn.markUsed(address: address, now: now, in: $0) }
            }
        }
        return (signIn, caller)
    }
}
