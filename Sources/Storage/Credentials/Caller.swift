public import Database
public import Model

/// Who asks: an account, through which credential, in which organisation, and with what restrictions.
///
/// Made from a credential that was found good. What it may do is looked up again in the transaction that does it, so that
/// a role, a plan or a membership that has just changed counts at once.
public struct Caller: Sendable, Equatable {
    /// By what somebody is known. The text stands in the audit log.
    public enum Credential: Sendable, Equatable {
        case signIn(String)
        case apiToken(String)
        /// An enrolled machine, by its key.
        case machine(String)
        /// The owner's own command line, on the server.
        case command

        public var text: String {
            switch self {
            case .signIn(let id): "sign-in \(id)"
            case .apiToken(let id): "token \(id)"
            case .machine(let id): "machine \(id)"
            case .command: "command line"
            }
        }

        /// Whether a person has shown who they are, and no program acts in their name.
        public var isPersons: Bool {
            switch self {
            case .signIn, .command: true
            case .apiToken, .machine: false
            }
        }

        /// What a revocation names; nil for the command line, which nothing revokes.
        public var id: String? {
            switch self {
            case .signIn(let id), .apiToken(let id), .machine(let id): id
            case .command: nil
            }
        }
    }

    /// What an access token says about its organisation's plan at the time it was made.
    public struct Claims: Sendable, Equatable {
        public let plan: Plan
        public let limits: PlanLimits
        /// When the token that says so ends.
        public let endsAt: Timestamp?

        public init(plan: Plan, limits: PlanLimits, endsAt: Timestamp? = nil) {
            self.plan = plan
            self.limits = limits
            self.endsAt = endsAt
        }
    }

    public let user: User
    /// The organisation that a request is about if it names none.
    public let organisationId: String
    public let credential: Credential
    /// What the credential is good for; nil for everything its owner may do.
    public let scopes: Set<PermissionKey>?
    public let claims: Claims?
    /// A second factor was shown.
    public let isStrong: Bool
    /// Where from, as rate limits count addresses.
    public let address: String
    /// What the program that asks calls itself; empty where nobody asked over HTTP.
    public var userAgent = ""

    public init(
        user: User, organisationId: String, credential: Credential, scopes: Set<PermissionKey>? = nil,
        claims: Claims? = nil, isStrong: Bool, address: String
    ) {
        self.user = user
        self.organisationId = organisationId
        self.credential = credential
        self.scopes = scopes
        self.claims = claims
        self.isStrong = isStrong
        self.address = address
    }

    /// The command line acts as root of the machine does: as the account itself, with everything.
    public static func command(as user: User) -> Caller {
        Caller(user: user, organisationId: user.id, credential: .command, isStrong: true, address: "local")
    }

    /// This caller as a member who may do something there.
    /// - Parameters:
    ///   - organisationId: nil for the credential's own organisation.
    ///   - whileDeleted: also in an organisation that is deleted and can still be brought back.
    /// - Throws: ``Refusal`` `.notFound` for strangers, `.notAllowed`, `.secondFactor`; ``StorageError``.
    public func member(
        of organisationId: String? = nil, may key: PermissionKey, whileDeleted: Bool = false,
        in database: Transaction
    ) throws -> Member {
        let id = organisationId ?? self.organisationId
        // A token, or a machine, is for one organisation: elsewhere its owner is a stranger.
        if !credential.isPersons, id != self.organisationId { throw Self.stranger }
        guard let member = try Member.find(userId: user.id, organisationId: id, in: database) else {
            throw Self.stranger
        }
        if member.organisation.requiresSecondFactor && !isStrong {
            throw Refusal(
                .secondFactor,
                "\(member.organisation.name) requires a second factor: turn it on in your account and sign in again.")
        }
        guard member.may(key) else {
            throw Refusal(.notAllowed, "Your role \(member.role.name) does not have \(key.rawValue); ask an admin.")
        }
        guard hasScope(key) else {
            throw Refusal(.notAllowed, "This token was made without \(key.rawValue); make another one.")
        }
        if member.organisation.deleteAfter != nil && !whileDeleted {
            throw Refusal(.notFound, "This organisation is deleted; an owner can bring it back.")
        }
        return scopes.map(member.limited) ?? member
    }

    /// Whether the credential has not been revoked since it was looked at: asked again in the transaction that admits somebody.
    public func isStillGood(now: Timestamp, in database: Transaction) throws -> Bool {
        guard let user = try User.find(id: user.id, in: database), user.disabledAt == nil else { return false }
        return try credential.isGood(now: now, in: database)
    }

    /// Whether the credential is good for this, whatever its owner may do.
    public func hasScope(_ key: PermissionKey) -> Bool { scopes?.contains(key) ?? true }

    /// What changes how an account signs in is for somebody who has signed in, not for a program with a token.
    /// - Throws: ``Refusal`` `.signInNeeded`.
    public func requirePerson() throws {
        guard credential.isPersons else {
            throw Refusal(.signInNeeded, "An API token cannot do this; sign in with your password.")
        }
    }

    /// - Throws: ``Refusal`` `.notAllowed` for a token that was made for less than everything.
    public func requireUnrestricted() throws {
        if scopes != nil {
            throw Refusal(.notAllowed, "This token was made for less; use one without scopes, or sign in.")
        }
    }

    /// Throws unless the caller administers the server and the token allows it.
    /// - Throws: ``Refusal`` `.notAllowed`.
    public func requireAdministrator() throws {
        guard user.isAdmin else { throw Refusal(.notAllowed, "This is for administrators of this server.") }
        guard hasScope(.applianceManage) else {
            throw Refusal(.notAllowed, "This token was made without \(PermissionKey.applianceManage.rawValue).")
        }
    }

    private static var stranger: Refusal { Refusal(.notFound, "There is no such organisation.") }

    // MARK: Plans

    /// What binds this caller in an organisation: its plan, and the token's claims where they are stricter. A lower plan
    /// counts at once for what is new; a higher one from the next token on.
    public func allowance(in organisation: Organisation, _ database: Transaction) -> Allowance {
        Allowance(
            plan: organisation.plan, limits: database.keysAndPlans.plans[organisation.plan],
            claims: organisation.id == organisationId ? claims : nil)
    }
}

/// What may be used, and which plan says so.
public struct Allowance: Sendable {
    public let plan: Plan
    public let limits: PlanLimits
    let claims: Caller.Claims?

    init(plan: Plan, limits: PlanLimits, claims: Caller.Claims? = nil) {
        self.plan = plan
        self.limits = limits
        self.claims = claims
    }

    /// The limit that binds and the plan that it is from; nil where nothing does.
    subscript(limit: PlanLimit) -> (value: Int, plan: Plan)? {
        let current = limits[limit].map { ($0, plan) }
        guard let claims, let claimed = claims.limits[limit] else { return current }
        if let current, current.0 <= claimed { return current }
        return (claimed, claims.plan)
    }
}
