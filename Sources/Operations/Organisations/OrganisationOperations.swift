public import Database
import Limits
public import Model
public import Relay
public import Storage
public import Tunnels

/// Operations of people on organisations, for the API and the pages. Each does its check, its change and its entry in
/// the audit log in one transaction.
public struct OrganisationOperations: Sendable {
    public let database: Database
    public let authenticator: Authenticator
    public let relay: RelayServer
    public let tunnels: TunnelServer
    public let mail: AccountMail
    private let sent = AttemptLimiter(AccountSettings.invitationsSent, per: AccountSettings.invitationWindow)
    private let received = AttemptLimiter(AccountSettings.invitationsReceived, per: AccountSettings.invitationWindow)

    public init(
        database: Database, authenticator: Authenticator, relay: RelayServer, tunnels: TunnelServer, mail: AccountMail
    ) {
        self.tunnels = tunnels
        self.database = database
        self.authenticator = authenticator
        self.relay = relay
        self.mail = mail
    }

    /// Runs a change that a member may do.
    private func change<Success: Sendable>(
        _ id: String, _ key: PermissionKey, by caller: Caller, whileDeleted: Bool = false,
        _ body: @escaping @Sendable (Member, TenantScope) throws -> Success
    ) async throws -> Success {
        let result = try await database.write { connection in
            let member = try caller.member(of: id, may: key, whileDeleted: whileDeleted, in: connection)
            return try body(member, connection.tenant(id))
        }
        // A member with fewer or no permissions may have connected machines.
        await tunnels.cutForgotten(of: id)
        return result
    }

    /// Reads data that a member may see.
    public func read<Success: Sendable>(
        _ id: String, _ key: PermissionKey, by caller: Caller, whileDeleted: Bool = false,
        _ body: @escaping @Sendable (Member, TenantScope) throws -> Success
    ) async throws -> Success {
        try await database.read { connection in
            let member = try caller.member(of: id, may: key, whileDeleted: whileDeleted, in: connection)
            return try body(member, connection.tenant(id))
        }
    }

    // MARK: Organisations

    public func create(name: String, by caller: Caller) async throws -> Member {
        if case .apiToken = caller.credential { try caller.requirePerson() }
        return try await database.write { connection in
            let now = Timestamp.now()
            let made = try Organisation.create(name: name, owner: caller.user, now: now, in: connection)
            try Audit.record(
                .organisationCreated, target: made.name, by: caller, now: now, in: connection.tenant(made.id))
            return try caller.member(of: made.id, may: .tenantRead, in: connection)
        }
    }

    public func change(_ id: String, _ change: Organisation.Change, by caller: Caller) async throws -> Member {
        try await self.change(id, .tenantUpdate, by: caller) { member, scope in
            if change.requiresSecondFactor == true && !caller.isStrong {
                throw Refusal(
                    .secondFactor,
                    "Turn on your own second factor and sign in with it first; otherwise you would lock yourself out.")
            }
            let changed = try member.organisation.change(change, in: scope.transaction)
            let detail =
                "second factor \(changed.requiresSecondFactor ? "required" : "optional"), "
                + "guests without an account \(changed.takesGuestsWithoutAccount ? "allowed" : "refused")"
            try Audit.record(
                .organisationChanged, target: changed.name, detail: detail, by: caller, now: .now(), in: scope)
            return try caller.member(of: id, may: .tenantUpdate, in: scope.transaction)
        }
    }

    public func delete(_ id: String, by caller: Caller) async throws -> Timestamp {
        let (end, sessions) = try await change(id, .tenantDelete, by: caller, whileDeleted: true) { member, scope in
            let end = try member.organisation.delete(now: .now(), in: scope.transaction)
            try Audit.record(
                .organisationDeleted, target: member.organisation.name,
                detail: "permanently deleted after \(end.readable)",
                by: caller, now: .now(), in: scope)
            let sessions = try ShareSession.active(ownedBy: nil, in: scope)
            for one in sessions {
                try ShareSession.end(id: one.id, reason: .deleted, now: .now(), in: scope.transaction)
            }
            return (end, sessions)
        }
        for one in sessions { relay.sessionEnded(sessionId: one.id, reason: .deleted) }
        return end
    }

    public func restore(_ id: String, by caller: Caller) async throws {
        try await change(id, .tenantDelete, by: caller, whileDeleted: true) { member, scope in
            try member.organisation.restore(in: scope.transaction)
            try Audit.record(
                .organisationRestored, target: member.organisation.name, by: caller, now: .now(), in: scope)
        }
    }

    /// Makes an organisation the default for a sign-in's requests.
    public func switchTo(_ id: String, by caller: Caller) async throws -> Caller {
        guard case .signIn(let signInId) = caller.credential else {
            throw Refusal(.signInNeeded, "An API token is for one organisation; create another one for the other.")
        }
        return try await database.write { connection in
            // Before the sign-on of that organisation: its pages lead there.
            _ = try caller.member(of: id, may: .tenantRead, needsSignOn: false, in: connection)
            let scope = connection.tenant(id)
            guard let signIn = try SignIn.find(id: signInId, now: .now(), in: scope.transaction) else {
                throw Refusal.unauthorized
            }
            try signIn.switchTo(id, in: scope.transaction)
            guard let switched = try signIn.caller(organisationId: id, address: caller.address, in: scope.transaction)
            else { throw Refusal.unauthorized }
            return switched
        }
    }

    /// Checks that a member may export all data of an organisation, and records that in its audit log.
    /// - Returns: the organisation's name.
    public func beginExport(of id: String, by caller: Caller) async throws -> String {
        try await change(id, .tenantExport, by: caller, whileDeleted: true) { member, scope in
            try Audit.record(
                .organisationExported, target: member.organisation.name, by: caller, now: .now(), in: scope)
            return member.organisation.name
        }
    }

    // MARK: Members

    public func setRole(of userId: String, to role: String, in id: String, by caller: Caller) async throws -> Member {
        try await change(id, .tenantManageMembers, by: caller) { member, scope in
            let role = try Role.named(role, in: scope)
            let changed = try Member.setRole(of: userId, to: role, by: member, in: scope)
            try Audit.record(
                .memberRoleChanged, target: changed.user.username, detail: role.name, by: caller, now: .now(), in: scope
            )
            return changed
        }
    }

    public func remove(_ userId: String, from id: String, by caller: Caller) async throws {
        try await change(id, .tenantManageMembers, by: caller) { member, scope in
            let removed = try Member.remove(userId, by: member, in: scope)
            try Audit.record(.memberRemoved, target: removed.user.username, by: caller, now: .now(), in: scope)
        }
    }

    /// Every member may leave, with any role, except the last owner.
    public func leave(_ id: String, by caller: Caller) async throws {
        if case .apiToken = caller.credential { try caller.requirePerson() }
        try await database.write { connection in
            let found = try Member.find(userId: caller.user.id, organisationId: id, in: connection)
            guard let found else { throw Refusal(.notFound, "There is no such organisation.") }
            let scope = connection.tenant(id)
            _ = try Member.remove(caller.user.id, by: found, in: scope)
            try Audit.record(
                .memberRemoved, target: caller.user.username, detail: "left", by: caller, now: .now(), in: scope)
        }
    }

    public func transfer(_ id: String, to userId: String, by caller: Caller) async throws -> Member {
        try await change(id, .tenantTransfer, by: caller) { member, scope in
            let owner = try Member.transfer(to: userId, from: member, in: scope)
            try Audit.record(
                .organisationTransferred, target: owner.user.username, by: caller, now: .now(), in: scope)
            return owner
        }
    }

    // MARK: Invitations

    public func invite(
        email: String?, role: String, to id: String, by caller: Caller
    ) async throws -> (Invitation, role: Role, secret: String) {
        let email = try email.map(AccountRules.email)
        // If the server can send mail, a person who invites must have a verified address. Administrators of the server need none.
        if mail.isOn, caller.user.emailVerifiedAt == nil, !caller.user.isAdmin {
            throw Refusal(
                .emailUnproved,
                "Verify your own e-mail address before you invite others: in your account, or with POST /auth/email.")
        }
        if let email {
            guard mail.isOn else {
                throw Refusal(.mailOff, "This server does not send e-mail; invite with a link, without an address.")
            }
            // The number of mails to strangers with a text of the sender is limited.
            for (limiter, key) in [(sent, caller.user.id), (received, email)] {
                if case .wait(let seconds, _) = limiter.begin(key) { throw Refusal.rateLimited(retryAfter: seconds) }
            }
        }
        let (made, organisation) = try await change(id, .tenantManageMembers, by: caller) { member, scope in
            let role = try Role.named(role, in: scope)
            let (invitation, secret) = try Invitation.create(
                email: email, role: role, by: member, now: .now(), in: scope)
            try Audit.record(
                .memberInvited, target: email ?? invitation.id, detail: role.name, by: caller, now: .now(), in: scope)
            return ((invitation, role: role, secret: secret), member.organisation.name)
        }
        if let email {
            await mail.invitation(
                to: email, secret: made.secret, organisation: organisation, inviter: caller.user.username)
        }
        return made
    }

    public func revokeInvitation(_ invitationId: String, in id: String, by caller: Caller) async throws {
        try await change(id, .tenantManageMembers, by: caller) { _, scope in
            try Invitation.revoke(id: invitationId, now: .now(), in: scope)
            try Audit.record(.invitationRevoked, target: invitationId, by: caller, now: .now(), in: scope)
        }
    }

    public func accept(_ secret: String, by caller: Caller) async throws -> Member {
        if case .apiToken = caller.credential { try caller.requirePerson() }
        return try await database.write { connection in
            let member = try Invitation.accept(secret: secret, user: caller.user, now: .now(), in: connection)
            try Audit.record(
                .memberJoined, target: caller.user.username, detail: member.role.name, by: caller, now: .now(),
                in: connection.tenant(member.organisation.id))
            return member
        }
    }

    // MARK: Roles

    public func createRole(
        name: String, permissions: Set<PermissionKey>, in id: String, by caller: Caller
    ) async throws -> Role {
        try await change(id, .tenantManageRoles, by: caller) { member, scope in
            let role = try Role.create(name: name, permissions: permissions, by: member, now: .now(), in: scope)
            try Audit.record(.roleCreated, target: name, by: caller, now: .now(), in: scope)
            return role
        }
    }

    public func changeRole(
        _ roleId: String, permissions: Set<PermissionKey>, in id: String, by caller: Caller
    ) async throws -> Role {
        try await change(id, .tenantManageRoles, by: caller) { member, scope in
            let role = try Role.change(id: roleId, permissions: permissions, by: member, in: scope)
            try Audit.record(.roleChanged, target: role.name, by: caller, now: .now(), in: scope)
            return role
        }
    }

    public func removeRole(_ roleId: String, in id: String, by caller: Caller) async throws {
        try await change(id, .tenantManageRoles, by: caller) { member, scope in
            let role = try Role.remove(id: roleId, by: member, in: scope)
            try Audit.record(.roleRemoved, target: role.name, by: caller, now: .now(), in: scope)
        }
    }

    // MARK: Plans

    /// A plan, its limits, and the current use of each limit that is counted.
    public struct PlanUse: Sendable {
        public let plan: Plan
        public let limits: PlanLimits
        public let current: [PlanLimit: Int]
    }

    public func plan(of id: String, by caller: Caller) async throws -> PlanUse {
        try await read(id, .tenantRead, by: caller) { member, scope in
            let allowance = caller.allowance(in: member.organisation, scope.transaction)
            return PlanUse(
                plan: member.organisation.plan, limits: allowance.limits,
                current: [.shares: try ShareSession.active(ownedBy: caller.user.id, in: scope).count])
        }
    }

    /// An organisation with its plan, its current use, and its usage of the last 24 hours.
    public struct Overview: Sendable {
        public let organisation: Organisation
        public let limits: PlanLimits
        public let now: OrganisationOverview
        public let usage: [UsageLedger.Sum]
    }

    /// For administrators of the server.
    public func overview(of id: String, by caller: Caller) async throws -> Overview {
        try await database.read { connection in
            try caller.requireAdministrator()
            guard let found = try Organisation.find(id: id, in: connection) else {
                throw Refusal(.notFound, "No organisation has this id.")
            }
            let scope = connection.tenant(id)
            let hour = UsageLedger.hour(of: .now())
            return Overview(
                organisation: found, limits: connection.keysAndPlans.plans[found.plan],
                now: try OrganisationOverview(in: scope),
                usage: try UsageLedger.sums(from: hour - 23, to: hour, in: scope))
        }
    }

    /// For administrators of the server.
    public func setPlan(_ plan: String, of id: String, by caller: Caller) async throws -> Organisation {
        guard let plan = Plan(rawValue: plan) else {
            throw Refusal.badRequest("plan must be one of \(Plan.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return try await database.write { connection in
            try caller.requireAdministrator()
            guard let found = try Organisation.find(id: id, in: connection) else {
                throw Refusal(.notFound, "There is no such organisation.")
            }
            try found.setPlan(plan, by: .init(caller), now: .now(), in: connection)
            return try Organisation.find(id: id, in: connection) ?? found
        }
    }
}
