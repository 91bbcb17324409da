public import Database
import Limits
import Model
import NIOCore
public import Storage

/// Whether an account has a second factor, and how many recovery codes are unused.
public struct SecondFactorState: Sendable {
    public let isOn: Bool
    public let recoveryCodesLeft: Int
}

/// Changes of people to their own accounts. Each writes an entry to the audit log.
public struct CredentialOperations: Sendable {
    public let database: Database
    private let codes = AttemptLimiter(AccountSettings.signIns, per: AccountSettings.signInWindow)
    /// The maximum lifetime of a token, in days.
    public static let longestDays = 3660

    public init(database: Database) { self.database = database }

    // MARK: Second factor

    public func secondFactor(of caller: Caller) async throws -> SecondFactorState {
        let id = caller.user.id
        return try await database.read {
            SecondFactorState(
                isOn: try SecondFactor.isOn(userId: id, in: $0),
                recoveryCodesLeft: try SecondFactor.recoveryCodesLeft(userId: id, in: $0))
        }
    }

    public func beginSecondFactor(of caller: Caller) async throws -> [UInt8] {
        try await database.write { try SecondFactor.begin(userId: caller.user.id, now: .now(), in: $0) }
    }

    /// The seed that is not confirmed yet, for a page that is loaded again.
    public func pendingSeed(of caller: Caller) async throws -> [UInt8]? {
        try await database.read { try SecondFactor.pending(userId: caller.user.id, in: $0) }
    }

    /// Activates the second factor. This sign-in counts as strong. Other sign-ins must sign in again if it is required.
    public func confirm(_ code: String, of caller: Caller) async throws -> [String] {
        try begin(caller)
        let made = try await database.write { connection in
            let now = Timestamp.now()
            let made = try SecondFactor.confirm(code: code, userId: caller.user.id, now: now, in: connection)
            if case .signIn(let id) = caller.credential {
                try SignIn.find(id: id, now: now, in: connection)?.strengthen(in: connection)
            }
            try record(.secondFactorOn, caller.user.username, caller, connection)
            return made
        }
        codes.reset(caller.user.id)
        return made
    }

    public func renewRecoveryCodes(_ code: String, of caller: Caller) async throws -> [String] {
        try await withCode(code, of: caller) { connection in
            try record(.recoveryCodesRenewed, caller.user.username, caller, connection)
            return try SecondFactor.renewRecoveryCodes(userId: caller.user.id, in: connection)
        }
    }

    public func turnSecondFactorOff(_ code: String, of caller: Caller) async throws {
        try await withCode(code, of: caller) { connection in
            try record(.secondFactorOff, caller.user.username, caller, connection)
            try SecondFactor.turnOff(userId: caller.user.id, in: connection)
        }
    }

    private func withCode<Success: Sendable>(
        _ code: String, of caller: Caller, _ body: @escaping @Sendable (Transaction) throws -> Success
    ) async throws -> Success {
        try begin(caller)
        let done = try await database.write { connection -> Success? in
            guard try SecondFactor.take(code, userId: caller.user.id, now: .now(), in: connection) else { return nil }
            return try body(connection)
        }
        guard let done else {
            throw Refusal(.code, "This code is wrong or was already used; wait for the next one.")
        }
        codes.reset(caller.user.id)
        return done
    }

    private func begin(_ caller: Caller) throws {
        if case .wait(let seconds, _) = codes.begin(caller.user.id) { throw Refusal.rateLimited(retryAfter: seconds) }
    }

    // MARK: Sign-ins

    public func signOutEverywhere(_ caller: Caller) async throws {
        try await database.write(essential: true) { connection in
            let count = try SignIn.endAll(
                userId: caller.user.id, except: caller.credential.id, .everywhere, now: .now(), in: connection)
            try OneTimeLink.cancelPending(userId: caller.user.id, now: .now(), in: connection)
            try record(.signedOutEverywhere, caller.user.username, caller, connection, detail: "\(count) others")
        }
    }

    public func endSignIn(_ id: String, of caller: Caller) async throws {
        try await database.write(essential: true) { connection in
            let now = Timestamp.now()
            guard let signIn = try SignIn.find(id: id, now: now, in: connection), signIn.userId == caller.user.id else {
                throw Refusal(.notFound, "You have no such sign-in.")
            }
            try signIn.end(.signedOut, now: now, in: connection)
            try record(.signedOut, signIn.client, caller, connection)
        }
    }

    // MARK: Identities

    /// Removes a provider's identity, so that it can no longer be used to sign in.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func removeIdentity(provider: String, subject: String, of caller: Caller) async throws {
        try await database.write { connection in
            try ExternalIdentity.remove(provider: provider, subject: subject, of: caller.user.id, in: connection)
            try record(.identityRemoved, provider, caller, connection)
        }
    }

    // MARK: Tokens

    public func createToken(
        name: String, scopes: Set<PermissionKey>?, days: Int?, for caller: Caller
    ) async throws -> (APIToken.Listed, secret: String) {
        if let days, !(1...Self.longestDays).contains(days) {
            throw Refusal.badRequest("expiresInDays is not between 1 and \(Self.longestDays)")
        }
        // A token that creates tokens could extend its own lifetime.
        try caller.requirePerson()
        if scopes?.contains(.applianceManage) == true { try caller.requireAdministrator() }
        return try await database.write { connection in
            let now = Timestamp.now()
            let member = try caller.member(may: .tokenCreate, in: connection)
            let made = try APIToken.create(
                name: name, userId: caller.user.id, organisationId: member.organisation.id, scopes: scopes,
                expiresAt: days.map { now.advanced(bySeconds: Int64($0) * 86_400) }, isStrong: caller.isStrong,
                now: now, in: connection)
            try Audit.record(
                .tokenCreated, target: made.id, detail: name, by: caller, now: now,
                in: connection.tenant(member.organisation.id))
            guard
                let listed = try APIToken.list(userId: caller.user.id, in: connection).first(where: { $0.id == made.id }
                )
            else { throw StorageError(.failed, "the new token was not found") }
            return (listed, made.secret)
        }
    }

    public func revokeToken(_ id: String, of caller: Caller) async throws {
        try await database.write(essential: true) { connection in
            try APIToken.revoke(id: id, owner: caller.user.id, now: .now(), in: connection)
            try record(.tokenRevoked, id, caller, connection)
        }
    }

    private func record(
        _ action: AuditAction, _ target: String, _ caller: Caller, _ connection: Transaction, detail: String = ""
    ) throws {
        try Audit.record(
            action, target: target, detail: detail, by: caller, now: .now(), in: connection.tenant(caller.user.id))
    }
}
