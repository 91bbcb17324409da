public import Database
public import Model

/// The caller of a request: an account, its credential, its organisation, and its restrictions.
///
/// Created from a valid credential. Its permissions are looked up again in the transaction of each action, so that a
/// change of a role, a plan or a membership takes effect at once.
public struct Caller: Sendable, Equatable {
    /// How the caller is authenticated. The text is stored in the audit log.
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

        /// Whether a person has authenticated, and no program acts in their name.
        public var isPersons: Bool {
            switch self {
            case .signIn, .command: true
            case .apiToken, .machine: false
            }
        }

        /// The id that a revocation uses. Nil for the command line, which cannot be revoked.
        public var id: String? {
            switch self {
            case .signIn(let id), .apiToken(let id), .machine(let id): id
            case .command: nil
            }
        }
    }

    /// What an access token says about its organisation's plan at the time the token was created.
    public struct Claims: Sendable, Equatable {
        public let plan: Plan
        public let limits: PlanLimits
        /// The expiry of that token.
        public let endsAt: Timestamp?

        public init(plan: Plan, limits: PlanLimits, endsAt: Timestamp? = nil) {
            self.plan = plan
            self.limits = limits
            self.endsAt = endsAt
        }
    }

    public let user: User
    /// The default organisation of a request.
    public let organisationId: String
    public let credential: Credential
    /// The permissions of the credential. Nil for everything its owner may do.
    public let scopes: Set<PermissionKey>?
    public let claims: Claims?
    /// Whether a second factor was used.
    public let isStrong: Bool
    /// The caller's address, as rate limits count addresses.
    public let address: String
    /// The name that the calling program gives itself. Empty if the request did not come over HTTP.
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

    /// The command line acts like root on the machine: as the account itself, without restrictions.
    public static func command(as user: User) -> Caller {
        Caller(user: user, organisationId: user.id, credential: .command, isStrong: true, address: "local")
    }

    /// Returns this caller as a member with a permission in the organisation.
    /// - Parameters:
    ///   - organisationId: nil for the credential's own organisation.
    ///   - whileDeleted: also for an organisation that is deleted and can still be restored.
    ///   - needsSignOn: false where an owner corrects the organisation's single sign-on.
    /// - Throws: ``Refusal`` `.notFound` for strangers, `.notAllowed`, `.secondFactor`, `.signOnNeeded`; ``StorageError``.
    public func member(
        of organisationId: String? = nil, may key: PermissionKey, whileDeleted: Bool = false, needsSignOn: Bool = true,
        in database: Transaction
    ) throws -> Member {
        let id = organisationId ?? self.organisationId
        // A token or a machine is for one organisation. In other organisations its owner is a stranger.
        if !credential.isPersons, id != self.organisationId { throw Self.stranger }
        guard let member = try Member.find(userId: user.id, organisationId: id, in: database) else {
            throw Self.stranger
        }
        if member.organisation.requiresSecondFactor && !isStrong {
            throw Refusal(
                .secondFactor,
                "\(member.organisation.name) requires a second factor: turn it on in your account and sign in again.")
        }
        if needsSignOn, member.organisation.requiresSingleSignOn,
            try !hasSignedOn(now: .now(), in: database.tenant(id))
        {
            throw Refusal(
                .signOnNeeded,
                "\(member.organisation.name) requires its single sign-on; open the organisation in a browser and sign on."
            )
        }
        guard member.may(key) else {
            throw Refusal(.notAllowed, "Your role \(member.role.name) does not have \(key.rawValue); ask an admin.")
        }
        guard hasScope(key) else {
            throw Refusal(.notAllowed, "This token was created without \(key.rawValue); create another one.")
        }
        if member.organisation.deleteAfter != nil && !whileDeleted {
            throw Refusal(.notFound, "This organisation is deleted; an owner can restore it.")
        }
        return scopes.map(member.limited) ?? member
    }

    /// Whether the credential is still not revoked. Checked again in the transaction that admits the caller.
    public func isStillGood(now: Timestamp, in database: Transaction) throws -> Bool {
        guard let user = try User.find(id: user.id, in: database), user.disabledAt == nil else { return false }
        return try credential.isGood(now: now, in: database)
    }

    /// Whether the credential includes this permission, whatever its owner may do.
    public func hasScope(_ key: PermissionKey) -> Bool { scopes?.contains(key) ?? true }

    /// Requires a signed-in person. A program with a token must not change how an account signs in.
    /// - Throws: ``Refusal`` `.signInNeeded`.
    public func requirePerson() throws {
        guard credential.isPersons else {
            throw Refusal(.signInNeeded, "An API token cannot do this; sign in with your password.")
        }
    }

    /// - Throws: ``Refusal`` `.notAllowed` for a token with restricted permissions.
    public func requireUnrestricted() throws {
        if scopes != nil {
            throw Refusal(.notAllowed, "This token's scopes do not allow this; use a token without scopes, or sign in.")
        }
    }

    /// Requires that the caller administers the server and that the token allows it.
    /// - Throws: ``Refusal`` `.notAllowed`.
    public func requireAdministrator() throws {
        guard user.isAdmin else { throw Refusal(.notAllowed, "Only administrators of this server can do this.") }
        guard hasScope(.applianceManage) else {
            throw Refusal(.notAllowed, "This token was created without \(PermissionKey.applianceManage.rawValue).")
        }
    }

    private static var stranger: Refusal { Refusal(.notFound, "There is no such organisation.") }

    // MARK: Plans

    /// The limits for this caller in an organisation: its plan, and the token's claims if they are stricter. A lower
    /// plan applies to new things at once. A higher plan applies from the next token on.
    public func allowance(in organisation: Organisation, _ database: Transaction) -> Allowance {
        Allowance(
            plan: organisation.plan, limits: database.keysAndPlans.plans[organisation.plan],
            claims: organisation.id == organisationId ? claims : nil)
    }
}

/// The limits that apply, and the plans that set them.
public struct Allowance: Sendable {
    public let plan: Plan
    public let limits: PlanLimits
    let claims: Caller.Claims?

    init(plan: Plan, limits: PlanLimits, claims: Caller.Claims? = nil) {
        self.plan = plan
        self.limits = limits
        self.claims = claims
    }

    /// The value of a limit and the plan that sets it. Nil if there is no limit.
    subscript(limit: PlanLimit) -> (value: Int, plan: Plan)? {
        let current = limits[limit].map { ($0, plan) }
        guard let claims, let claimed = claims.limits[limit] else { return current }
        if let current, current.0 <= claimed { return current }
        return (claimed, claims.plan)
    }
}
