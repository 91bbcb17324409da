public import Database
import Model
public import Storage

/// Operations of the server's owner on all accounts. Each is one transaction and writes an entry to the audit log.
public struct AccountAdministration: Sendable {
    private let database: Database
    private let actor: Audit.Actor

    /// - Parameter actor: recorded in the audit log as the actor.
    public init(database: Database, actor: Audit.Actor) {
        self.database = database
        self.actor = actor
    }

    /// An account and the token that was created for it.
    public struct Made: Sendable {
        public let user: User
        public let token: APIToken
        public let plan: Plan
    }

    /// Creates an account with a first token, and the secret of a link that sets its first password.
    /// - Parameter plan: nil for the default plan, or ``Plan/admin`` for an administrator.
    /// - Throws: ``Refusal`` `.nameTaken`; ``StorageError``.
    public func add(name: String, plan: Plan?, isAdmin: Bool) async throws -> (made: Made, linkSecret: String) {
        try await database.write { [actor] connection in
            let now = Timestamp.now()
            let (user, secret) = try Self.make(name, plan, isAdmin, actor, now, in: connection)
            let token = try APIToken.create(name: "first", userId: user.id, now: now, in: connection)
            let made = Made(user: user, token: token, plan: try user.personalOrganisation(in: connection).plan)
            return (made, secret)
        }
    }

    /// Creates an account without a token.
    /// - Returns: the secret of a link that sets its first password.
    /// - Throws: ``Refusal`` `.invalid`, `.nameTaken`; ``StorageError``.
    public func invite(name: String, plan: Plan?, isAdmin: Bool) async throws -> String {
        guard AccountRules.isUsername(name) else {
            throw Refusal(.invalid, "name: '\(name)' is not an account name; use \(AccountRules.usernameRule).")
        }
        return try await database.write { [actor] in
            try Self.make(name, plan, isAdmin, actor, .now(), in: $0).linkSecret
        }
    }

    private static func make(
        _ name: String, _ plan: Plan?, _ isAdmin: Bool, _ actor: Audit.Actor, _ now: Timestamp,
        in connection: Transaction
    ) throws -> (user: User, linkSecret: String) {
        let user = try User.create(
            username: name, plan: plan ?? (isAdmin ? .admin : nil), isAdmin: isAdmin, now: now, in: connection)
        try Audit.record(.registered, target: name, actor: actor, now: now, in: connection.tenant(user.id))
        return (user, try OneTimeLink.create(.resetPassword, userId: user.id, now: now, in: connection))
    }

    /// - Throws: ``StorageError``.
    public func hasAdministrator() async throws -> Bool {
        try await database.read { try User.hasAdministrator(in: $0) }
    }

    /// Creates an administrator with a password if there is none yet.
    /// - Returns: false if there is one.
    /// - Throws: ``StorageError``.
    public func addFirstAdministrator(name: String, passwordHash: String, detail: String) async throws -> Bool {
        try await database.write { [actor] connection in
            if try User.hasAdministrator(in: connection) { return false }
            let now = Timestamp.now()
            let user = try User.create(username: name, plan: .admin, isAdmin: true, now: now, in: connection)
            try Password.store(passwordHash, userId: user.id, now: now, in: connection)
            try Audit.record(
                .registered, target: name, detail: detail, actor: actor, now: now,
                in: connection.tenant(Audit.appliance))
            return true
        }
    }

    /// Accounts by name with their plans, in pages.
    /// - Parameter after: the last name of the previous page. Empty for the first page.
    /// - Throws: ``StorageError``.
    public func list(after: String, limit: Int) async throws -> [(user: User, plan: Plan)] {
        try await database.read { connection in
            try User.list(after: after, limit: limit, in: connection).map {
                ($0, try $0.personalOrganisation(in: connection).plan)
            }
        }
    }

    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public func find(_ name: String) async throws -> User {
        try await database.read { try User.named(name, in: $0) }
    }

    /// Removes an account with its tokens and sessions.
    /// - Throws: ``Refusal`` `.notFound`, `.lastAdministrator`, `.lastOwner`; ``StorageError``.
    public func remove(_ user: User) async throws {
        try await database.write { [actor] connection in
            try user.remove(in: connection)
            try Audit.record(
                .accountRemoved, target: user.username, actor: actor, now: .now(),
                in: connection.tenant(Audit.appliance))
        }
    }

    /// Ends an account's sign-ins, refuses its tokens and closes its connections. Removes no data.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func disable(_ name: String) async throws {
        try await change(name, .accountDisabled) { try $0.disable(now: .now(), in: $1) }
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func enable(_ name: String) async throws {
        try await change(name, .accountEnabled) { try $0.enable(in: $1) }
    }

    private func change(
        _ name: String, _ action: AuditAction, _ body: @escaping @Sendable (User, Transaction) throws -> Void
    ) async throws {
        try await database.write { [actor] connection in
            let user = try User.named(name, in: connection)
            try body(user, connection)
            try Audit.record(action, target: name, actor: actor, now: .now(), in: connection.tenant(user.id))
        }
    }

    /// Changes the plan of an account's personal organisation.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func setPlan(_ plan: Plan, of name: String) async throws {
        try await database.write { [actor] connection in
            let found = try User.named(name, in: connection).personalOrganisation(in: connection)
            try found.setPlan(plan, by: actor, now: .now(), in: connection)
        }
    }

    /// Ends all sign-ins, revokes all tokens, and creates a new token and the secret of a link that sets a new password.
    /// - Parameter turnsSecondFactorOff: for a person who has lost phone and recovery codes.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func reset(_ name: String, turnsSecondFactorOff: Bool) async throws -> (made: Made, linkSecret: String) {
        try await database.write { [actor] connection in
            let now = Timestamp.now()
            let user = try User.named(name, in: connection)
            let log = connection.tenant(user.id)
            try APIToken.revokeAll(userId: user.id, now: now, in: connection)
            let token = try APIToken.create(name: "reset", userId: user.id, now: now, in: connection)
            if turnsSecondFactorOff {
                try SecondFactor.turnOff(userId: user.id, in: connection)
                try Audit.record(.secondFactorOff, target: name, actor: actor, now: now, in: log)
            }
            try SignIn.endAll(userId: user.id, except: nil, .everywhere, now: now, in: connection)
            let secret = try OneTimeLink.create(.resetPassword, userId: user.id, now: now, in: connection)
            try Audit.record(.passwordReset, target: name, detail: "link", actor: actor, now: now, in: log)
            let made = Made(user: user, token: token, plan: try user.personalOrganisation(in: connection).plan)
            return (made, secret)
        }
    }

    /// The secret of a link that sets a new password. Sign-ins and tokens stay valid until it is used.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func resetLink(_ name: String) async throws -> String {
        try await database.write { [actor] connection in
            let now = Timestamp.now()
            let user = try User.named(name, in: connection)
            try Audit.record(
                .passwordReset, target: name, detail: "link", actor: actor, now: now, in: connection.tenant(user.id))
            return try OneTimeLink.create(.resetPassword, userId: user.id, now: now, in: connection)
        }
    }

    // MARK: Tokens

    /// - Throws: ``Refusal``; ``StorageError``.
    public func createToken(name: String, for username: String) async throws -> APIToken {
        try await database.write { [actor] connection in
            let now = Timestamp.now()
            let owner = try User.named(username, in: connection)
            let made = try APIToken.create(name: name, userId: owner.id, now: now, in: connection)
            try Audit.record(
                .tokenCreated, target: made.id, detail: name, actor: actor, now: now, in: connection.tenant(owner.id))
            return made
        }
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func tokens(of username: String) async throws -> [APIToken.Listed] {
        try await database.read { try APIToken.list(userId: User.named(username, in: $0).id, in: $0) }
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func revokeToken(_ id: String) async throws {
        try await database.write { [actor] connection in
            let owner = try APIToken.revoke(id: id, now: .now(), in: connection)
            try Audit.record(.tokenRevoked, target: id, actor: actor, now: .now(), in: connection.tenant(owner))
        }
    }
}
