public import Database
public import Model

/// An invitation for one person to an organisation: a secret that works once, for a limited time.
public struct Invitation: Sendable, Equatable {
    /// The lifetime in seconds: a week, because an e-mail may stay unread over a weekend.
    public static let lifetimeSeconds: Int64 = 7 * 86_400
    /// The maximum number of open invitations in one organisation.
    private static let openLimit = 200

    public let id: String
    public let organisationId: String
    public let email: String?
    public let roleId: String
    /// The name of the member who created it. Empty if that account was removed.
    public let invitedBy: String
    private let inviterId: String
    public let createdAt: Timestamp
    public let expiresAt: Timestamp

    init(_ row: Row) throws {
        id = try row.text("id")
        organisationId = try row.text("organisation_id")
        email = try row.optionalText("email")
        roleId = try row.text("role")
        invitedBy = try row.optionalText("inviter") ?? ""
        inviterId = try row.text("invited_by")
        createdAt = try row.time("created_at")
        expiresAt = try row.time("expires_at")
    }

    /// Creates an invitation. Its secret is returned only now: only the digest is stored.
    /// - Throws: ``Refusal`` `.notAllowed`, `.limit`, `.invalid`; ``StorageError``.
    public static func create(
        email: String?, role: Role, by inviter: Member, lifetimeSeconds: Int64 = lifetimeSeconds, now: Timestamp,
        in scope: TenantScope
    ) throws -> (Invitation, secret: String) {
        guard inviter.organisation.personalOf == nil else {
            throw Refusal(
                .notPossible, "A personal organisation can have only one member; create an organisation for a team.")
        }
        try inviter.mayGrant(role)
        let open = try list(now: now, in: scope).count
        guard open < openLimit else {
            throw Refusal(
                .limit, "An organisation has at most \(openLimit) open invitations; revoke some first.",
                limit: openLimit, current: open)
        }
        let secret = RandomText.make(letters: 43)
        let made = try scope.first(
            """
            INSERT INTO invitations (id, organisation_id, digest, email, role, invited_by, created_at, expires_at)
            VALUES (?, :organisation, ?, ?, ?, ?, ?, ?)
            RETURNING *, (SELECT username FROM users WHERE users.id = invited_by) AS inviter
            """, Identifier.make(now: now), Digest.of(secret), email, role.id, inviter.user.id, now,
            now.advanced(bySeconds: lifetimeSeconds), decode: Invitation.init)
        guard let made else { throw StorageError(.failed, "the new invitation was not returned") }
        return (made, secret)
    }

    /// The invitations that can still be accepted, newest first.
    public static func list(now: Timestamp, in scope: TenantScope) throws -> [Invitation] {
        try scope.rows(
            """
            SELECT *, (SELECT username FROM users WHERE users.id = invited_by) AS inviter FROM invitations
            WHERE organisation_id = :organisation AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > ? ORDER BY created_at DESC, id DESC LIMIT ?
            """, now, openLimit, decode: Invitation.init)
    }

    /// The open invitations of all organisations, for administrators of the server, newest first.
    public static func listEverywhere(
        now: Timestamp, in database: Transaction
    ) throws -> [(invitation: Invitation, organisation: String)] {
        try database.across(.administration).rows(
            """
            SELECT invitations.*, (SELECT username FROM users WHERE users.id = invited_by) AS inviter,
                organisations.name AS organisation_name FROM invitations
            JOIN organisations ON organisations.id = invitations.organisation_id
            WHERE accepted_at IS NULL AND revoked_at IS NULL AND expires_at > ? ORDER BY invitations.created_at DESC LIMIT ?
            """, now, openLimit
        ) { (try Invitation($0), try $0.text("organisation_name")) }
    }

    /// Revokes an invitation. Revoking it twice changes nothing.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func revoke(id: String, now: Timestamp, in scope: TenantScope) throws {
        let found = try scope.run(
            """
            UPDATE invitations SET revoked_at = COALESCE(revoked_at, ?)
            WHERE organisation_id = :organisation AND id = ? AND accepted_at IS NULL
            """, now, id)
        if found == 0 { throw Refusal(.notFound, "There is no such open invitation.") }
    }

    /// The invitation for a secret, for the page that asks whether to accept it.
    /// - Throws: ``Refusal`` `.invitation`; ``StorageError``.
    public static func find(
        secret: String, now: Timestamp, in database: Transaction
    ) throws -> (Invitation, Organisation) {
        let found = try database.across(.secretLeadsToTenant).first(
            """
            SELECT *, (SELECT username FROM users WHERE users.id = invited_by) AS inviter FROM invitations
            WHERE digest = ? AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > ?
            """, Digest.of(secret), now, decode: Invitation.init)
        guard let found, let organisation = try Organisation.find(id: found.organisationId, in: database),
            organisation.deleteAfter == nil
        else { throw refusal }
        return (found, organisation)
    }

    /// Uses an invitation and makes the user a member, in one transaction.
    ///
    /// An invitation that names an e-mail address is only for the account with this verified address.
    /// - Throws: ``Refusal`` `.invitation`, `.notAllowed`; ``StorageError``.
    public static func accept(
        secret: String, user: User, now: Timestamp, in database: Transaction
    ) throws -> Member {
        let (invitation, organisation) = try find(secret: secret, now: now, in: database)
        if let email = invitation.email, user.emailVerifiedAt == nil || user.email != email {
            throw Refusal(
                .notAllowed, "This invitation is for \(email); sign in with the account that has this address.")
        }
        let scope = database.tenant(organisation.id)
        // An invitation grants only what its creator may grant now: a member who was removed or demoted can invite
        // nobody, and a role that was removed has no permissions.
        guard let role = try Role.find(id: invitation.roleId, in: scope),
            let inviter = try Member.find(userId: invitation.inviterId, organisationId: organisation.id, in: database),
            inviter.may(.tenantManageMembers), (try? inviter.mayGrant(role)) != nil
        else { throw refusal }
        database.lock(.account(user.id))
        let count =
            try database.first("SELECT COUNT(*) AS found FROM memberships WHERE user_id = ?", user.id) {
                try $0.integer("found")
            } ?? 0
        guard count < Organisation.perPerson else {
            throw Refusal(
                .limit, "One account has at most \(Organisation.perPerson) organisations; leave one first.",
                limit: Organisation.perPerson, current: count)
        }
        try scope.run(
            "UPDATE invitations SET accepted_at = ?, accepted_by = ? WHERE organisation_id = :organisation AND id = ?",
            now, user.id, invitation.id)
        try Member.add(userId: user.id, roleId: invitation.roleId, now: now, in: scope)
        guard let member = try Member.find(userId: user.id, organisationId: organisation.id, in: database) else {
            throw refusal
        }
        return member
    }

    private static var refusal: Refusal {
        Refusal(.invitation, "This invitation was already used, was revoked or has expired; ask for a new one.")
    }
}
