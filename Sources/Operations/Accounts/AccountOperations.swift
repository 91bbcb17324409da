public import Database
public import Identity
public import Limits
public import Logging
public import Model
import NIOCore
public import Storage

/// Operations of people on their own accounts, for the API and the pages.
public struct AccountOperations: Sendable {
    public let database: Database
    public let authenticator: Authenticator
    public let tokens: AccessTokens
    public let hasher: PasswordHasher
    public let settings: AccountSettings
    public let mail: AccountMail
    public let alerts: AdministratorAlerts
    public let logger: Logger
    public let byAccount = AttemptLimiter(AccountSettings.signIns, per: AccountSettings.signInWindow)
    /// Names that belong to no account are limited in a separate table: invented names must not displace accounts.
    private let byUnknownName: AttemptLimiter
    private let byAddress: AttemptLimiter
    private let codes = AttemptLimiter(AccountSettings.signIns, per: AccountSettings.signInWindow)
    private let registrations = AttemptLimiter(AccountSettings.registrations, per: AccountSettings.registrationWindow)
    public let resets = AttemptLimiter(AccountSettings.resets, per: AccountSettings.resetWindow)

    public init(
        database: Database, authenticator: Authenticator, tokens: AccessTokens, hasher: PasswordHasher,
        settings: AccountSettings, mail: AccountMail,
        logger: Logger
    ) {
        self.database = database
        self.authenticator = authenticator
        self.tokens = tokens
        self.hasher = hasher
        self.settings = settings
        self.mail = mail
        let alerts = AdministratorAlerts(database: database, mail: mail, logger: logger)
        self.alerts = alerts
        self.logger = logger
        byUnknownName = AttemptLimiter(AccountSettings.signIns, per: AccountSettings.signInWindow) {
            alerts.raise(.stranger, "Sign-ins with more than \(AttemptLimiter.capacity) names that do not exist.")
        }
        byAddress = AttemptLimiter(AccountSettings.signInsPerAddress, per: AccountSettings.signInWindow) {
            alerts.raise(
                .stranger,
                "Sign-ins from more than \(AttemptLimiter.capacity) addresses; IPv6 addresses are now counted per /48."
            )
        }
    }

    /// The source of a request.
    public struct Source: Sendable {
        public let kind: SignIn.Kind
        /// The client's name in the list of sign-ins.
        public let client: String
        /// The client's address, as limits count it.
        public let address: String

        public init(kind: SignIn.Kind, client: String, address: String) {
            self.kind = kind
            self.client = client
            self.address = address
        }
    }

    // MARK: Signing in

    /// The result of a correct password: signed in, or a second factor is still required.
    public enum FirstStep: Sendable {
        case done(User)
        case needsCode(User)
    }

    /// Checks a name and a password. Takes the same time whether or not the account exists.
    /// - Throws: ``Refusal`` `sign_in_failed`, `rate_limited`; ``StorageError``; ``IdentityError``.
    public func checkPassword(login: String, password: String, from source: Source) async throws -> FirstStep {
        guard login.utf8.count <= AccountSettings.loginBytes else { throw Self.wrong }
        let login = AccountRules.login(login)
        let address = byAddress.isCrowded() ? ClientAddress.widened(source.address) : source.address
        try countAttempt(byAddress, "address \(address)", "sign-ins from one address")
        let found = try await database.read { connection -> (User, String?)? in
            guard let user = try User.find(login: login, in: connection), user.disabledAt == nil else { return nil }
            return (user, try Password.hash(userId: user.id, in: connection))
        }
        // Counted per account, whether the login was its name or its address.
        let key = "account \(found?.0.id ?? login)"
        try countAttempt(
            found == nil ? byUnknownName : byAccount, key,
            "sign-ins to \(found == nil ? "an account that does not exist" : "the account \(found?.0.username ?? "")")",
            found == nil ? .stranger : .account)
        let check = try await hasher.check(password, against: found?.1)
        guard let user = found?.0, check.isRight else {
            try await note(.signedIn, .failed, "password", user: found?.0, login: login, source)
            throw Self.wrong
        }
        byAccount.reset(key)
        byAddress.giveBack("address \(address)")
        if let better = check.rehashed {
            try await database.write { try Password.store(better, userId: user.id, now: .now(), in: $0) }
        }
        let isOn = try await database.read { try SecondFactor.isOn(userId: user.id, in: $0) }
        return isOn ? .needsCode(user) : .done(user)
    }

    /// Accepts a code of the app or a recovery code.
    /// - Throws: ``Refusal`` `code_wrong`, `rate_limited`; ``StorageError``.
    public func takeCode(_ code: String, of user: User, from source: Source) async throws {
        try countAttempt(codes, "account \(user.id)", "codes for the account \(user.username)", .account)
        guard try await database.write({ try SecondFactor.take(code, userId: user.id, now: .now(), in: $0) }) else {
            try await note(.signedIn, .failed, "second factor", user: user, login: user.username, source)
            throw Refusal(
                .signInCode, "This code is wrong or was already used; wait for the next one.")
        }
        codes.reset("account \(user.id)")
    }

    public struct SignedIn: Sendable {
        public let signIn: SignIn
        public let caller: Caller
        /// The refresh token, or the browser's cookie.
        public let secret: String?
    }

    /// Creates a sign-in for a person whose identity was verified.
    public func startSignIn(_ user: User, isStrong: Bool, how: String, from source: Source) async throws -> SignedIn {
        try await database.write { connection in
            let now = Timestamp.now()
            let (signIn, secret) = try SignIn.begin(
                user: user, kind: source.kind, client: source.client, address: source.address, isStrong: isStrong,
                now: now, in: connection)
            guard let caller = try signIn.caller(address: source.address, in: connection) else { throw Self.wrong }
            try Audit.record(
                .signedIn, target: user.username, detail: "\(how), \(source.client)", by: caller, now: now,
                in: connection.tenant(user.id))
            return SignedIn(signIn: signIn, caller: caller, secret: secret)
        }
    }

    /// An access token for a caller's organisation.
    /// - Parameter end: the expiry of the token that was exchanged for this one. The new token expires no later.
    public func accessToken(for caller: Caller, notAfter end: Timestamp? = nil) async throws -> AccessTokens.Issued {
        let organisation = try await database.read { connection in
            try Organisation.find(id: caller.organisationId, in: connection)
        }
        guard let organisation else { throw Refusal.unauthorized }
        let isDesktop = try await kind(of: caller) == .desktop
        var seconds = isDesktop ? AccessTokens.desktopSeconds : AccessTokens.seconds
        let now = Timestamp.now()
        if let end { seconds = min(seconds, max(1, Int((end.milliseconds - now.milliseconds) / 1000))) }
        return try await tokens.make(for: caller, organisation: organisation, seconds: seconds, now: now)
    }

    private func kind(of caller: Caller) async throws -> SignIn.Kind? {
        guard case .signIn(let id) = caller.credential else { return nil }
        return try await database.read { try SignIn.find(id: id, now: .now(), in: $0)?.kind }
    }

    /// - Throws: ``Refusal/unauthorized`` if the token is unknown, or was used before: then the sign-in is ended.
    public func refresh(_ secret: String, address: String) async throws -> (Caller, next: String) {
        let outcome = try await database.write { connection -> SignIn.Refreshed in
            let now = Timestamp.now()
            let outcome = try SignIn.refresh(secret, now: now, in: connection)
            switch outcome {
            case .renewed(let signIn, _): try signIn.markUsed(address: address, now: now, in: connection)
            case .reused(let signIn):
                let name = try User.find(id: signIn.userId, in: connection)?.username ?? ""
                let actor = Audit.Actor(
                    id: signIn.userId, name: name, credential: "sign-in \(signIn.id)", address: address)
                try Audit.record(
                    .refreshReused, target: signIn.id, result: .refused, actor: actor, now: now,
                    in: connection.tenant(signIn.userId))
            case .unknown: break
            }
            return outcome
        }
        switch outcome {
        case .renewed(let signIn, let next):
            let caller = try await database.read { try signIn.caller(address: address, in: $0) }
            guard let caller else { throw Refusal.unauthorized }
            return (caller, next)
        case .reused(let signIn):
            // An alert without a name is better than no alert.
            let user = try? await database.read { try User.find(id: signIn.userId, in: $0) }
            let name = (user ?? nil)?.username ?? signIn.userId
            alerts.raise(
                .account,
                "A refresh token of the account \(name) was used twice: one copy was stolen, and the sign-in was ended."
            )
            await mail.warn(
                userId: signIn.userId,
                "Somebody used an old refresh token of one of your sign-ins; the sign-in was ended.")
            throw Refusal.unauthorized
        case .unknown: throw Refusal.unauthorized
        }
    }

    public func signOut(_ caller: Caller) async throws {
        guard case .signIn(let id) = caller.credential else { return }
        try await database.write(essential: true) { connection in
            let now = Timestamp.now()
            try SignIn.find(id: id, now: now, in: connection)?.end(.signedOut, now: now, in: connection)
            try Audit.record(
                .signedOut, target: caller.user.username, by: caller, now: now, in: connection.tenant(caller.user.id))
        }
    }

    // MARK: Registering

    /// Creates an account with a password, if the owner allows registration.
    /// - Parameter invitation: an invitation to an organisation. Required unless registration is open, and accepted with it.
    /// - Throws: ``Refusal``, ``StorageError``, ``IdentityError``.
    public func register(
        username: String, email: String?, password: String, invitation: String?, from source: Source
    ) async throws -> SignedIn {
        try countAttempt(registrations, source.address, "registrations from one address")
        guard settings.registration == .open || (settings.registration == .invited && invitation != nil) else {
            throw Refusal(
                .registration, "Registration is closed on this server; ask its owner for an invitation.")
        }
        var joinsNow = true
        if let invitation {
            // Checked before the hash, which costs more than a lookup.
            let found = try await database.read { try Invitation.find(secret: invitation, now: .now(), in: $0) }
            // Such an invitation is accepted only after the address was verified: its creator has seen the link, too.
            joinsNow = found.0.email == nil
        }
        let name = try AccountRules.username(username)
        let email = try email.map(AccountRules.email)
        let hash = try await hasher.hash(try AccountRules.password(password))
        let joining = joinsNow ? invitation : nil
        let (user, verification) = try await database.write { connection -> (User, String?) in
            let now = Timestamp.now()
            let user = try User.create(username: name, email: email, now: now, in: connection)
            try Password.store(hash, userId: user.id, now: now, in: connection)
            let actor = Audit.Actor(
                id: user.id, name: name, credential: "registration", address: source.address, userAgent: source.client)
            try Audit.record(.registered, target: name, actor: actor, now: now, in: connection.tenant(user.id))
            if let joining { try Self.join(joining, user, actor, now, connection) }
            let secret = try email.map {
                try OneTimeLink.create(.verifyEmail, userId: user.id, email: $0, now: now, in: connection)
            }
            return (user, secret)
        }
        if let email, let verification { await mail.verification(to: email, secret: verification, username: name) }
        return try await startSignIn(user, isStrong: false, how: "registration", from: source)
    }

    public static func join(
        _ invitation: String, _ user: User, _ actor: Audit.Actor, _ now: Timestamp, _ connection: Transaction
    ) throws {
        let member = try Invitation.accept(secret: invitation, user: user, now: now, in: connection)
        try Audit.record(
            .memberJoined, target: user.username, detail: member.role.name, actor: actor, now: now,
            in: connection.tenant(member.organisation.id))
    }

    // MARK: Parts

    public static let wrong = Refusal(.signInFailed, "Name or password is wrong.")

    /// Counts an attempt.
    /// - Throws: ``Refusal`` `rate_limited`.
    public func countAttempt(
        _ limiter: AttemptLimiter, _ key: String, _ what: String, _ kind: AdministratorAlerts.Kind = .stranger
    ) throws {
        guard case .wait(let seconds, let isNew) = limiter.begin(key) else { return }
        // Once for each block, not for each attempt.
        if isNew { alerts.raise(kind, "Too many \(what); further attempts are refused for \(seconds) s.") }
        throw Refusal.rateLimited(retryAfter: seconds)
    }

    private func note(
        _ action: AuditAction, _ result: AuditResult, _ detail: String, user: User?, login: String, _ source: Source
    ) async throws {
        // The text that was entered for an account that does not exist may be a password.
        let name = user?.username ?? "unknown account"
        let actor = Audit.Actor(
            id: user?.id ?? "", name: name, credential: "none", address: source.address, userAgent: source.client)
        let log = user?.id ?? Audit.appliance
        try await database.write {
            try Audit.record(
                action, target: name, detail: detail, result: result, actor: actor, now: .now(), in: $0.tenant(log))
        }
    }
}
