public import Database
public import Model

/// A person in an organisation: the person, the organisation, and the permissions.
public struct Member: Sendable, Equatable {
    public let user: User
    public let organisation: Organisation
    public let role: Role
    public let since: Timestamp

    public func may(_ key: PermissionKey) -> Bool { role.permissions.contains(key) }

    /// The same member with at most these permissions: what a restricted token may do and grant.
    func limited(to scopes: Set<PermissionKey>) -> Member {
        Member(user: user, organisation: organisation, role: role.limited(to: scopes), since: since)
    }

    // MARK: Finding

    /// - Throws: ``StorageError``.
    public static func find(
        userId: String, organisationId: String, in database: Transaction
    ) throws -> Member? {
        guard let user = try User.find(id: userId, in: database), user.disabledAt == nil,
            let organisation = try Organisation.find(id: organisationId, in: database),
            let (role, since) = try seat(userId, in: database.tenant(organisationId))
        else { return nil }
        return Member(user: user, organisation: organisation, role: role, since: since)
    }

    private static func seat(_ userId: String, in scope: TenantScope) throws -> (Role, Timestamp)? {
        let found = try scope.first(
            "SELECT role, created_at FROM memberships WHERE organisation_id = :organisation AND user_id = ?", userId
        ) { (try $0.text("role"), try $0.time("created_at")) }
        guard let (id, since) = found else { return nil }
        // A role that no longer exists allows nothing.
        return (try Role.find(id: id, in: scope) ?? Role(.member).powerless, since)
    }

    /// The maximum number of members on one page. A person has few organisations.
    public static let pageSize = 500

    /// An organisation's members by name.
    /// - Parameter after: the last name of the previous page, or empty.
    public static func list(after: String = "", in scope: TenantScope) throws -> [Member] {
        guard let organisation = try Organisation.find(id: scope.organisationId, in: scope.transaction) else {
            return []
        }
        let rows = try scope.rows(
            """
            SELECT users.*, memberships.role AS role, memberships.created_at AS since FROM memberships
            JOIN users ON users.id = memberships.user_id
            WHERE memberships.organisation_id = :organisation AND users.username > ? ORDER BY users.username LIMIT ?
            """, after, pageSize
        ) { (try User($0), try $0.text("role"), try $0.time("since")) }
        return try rows.map { user, role, since in
            Member(
                user: user, organisation: organisation,
                role: try Role.find(id: role, in: scope) ?? Role(.member).powerless, since: since)
        }
    }

    /// A person's organisations: the person's own first, then by name.
    public static func organisations(of userId: String, in database: Transaction) throws -> [Member] {
        let ids = try database.rows(
            """
            SELECT organisations.id FROM memberships JOIN organisations ON organisations.id = memberships.organisation_id
            WHERE memberships.user_id = ? ORDER BY organisations.personal_of IS NULL, organisations.name LIMIT ?
            """, userId, pageSize
        ) { try $0.text("id") }
        return try ids.compactMap { try find(userId: userId, organisationId: $0, in: database) }
    }

    /// The number of members of organisations, by id.
    public static func counts(of organisations: [String], in database: Transaction) throws -> [String: Int] {
        try organisations.reduce(into: [:]) { counts, id in
            counts[id] =
                try database.tenant(id).first(
                    "SELECT count(*) AS members FROM memberships WHERE organisation_id = :organisation"
                ) { try $0.integer("members") } ?? 0
        }
    }

    // MARK: Changing

    static func add(userId: String, role: Role.BuiltIn, now: Timestamp, in scope: TenantScope) throws {
        try add(userId: userId, roleId: role.rawValue, now: now, in: scope)
    }

    /// Adds a member. Adding one twice changes nothing: the role stays the same.
    static func add(userId: String, roleId: String, now: Timestamp, in scope: TenantScope) throws {
        try scope.run(
            """
            INSERT INTO memberships (organisation_id, user_id, role, created_at) VALUES (:organisation, ?, ?, ?)
            ON CONFLICT (organisation_id, user_id) DO NOTHING
            """, userId, roleId, now)
        if try existing(userId, in: scope).may(.sessionCreate) {
            try Revocation.takeBack(memberId: userId, in: scope)
        }
    }

    /// Changes a member's role.
    /// - Throws: ``Refusal`` `.notFound`, `.notAllowed` if the caller lacks permissions of either role, `.lastOwner`.
    public static func setRole(
        of userId: String, to role: Role, by giver: Member, in scope: TenantScope
    ) throws -> Member {
        scope.lock()
        let member = try existing(userId, in: scope)
        try giver.mayGrant(role)
        try giver.mayGrant(member.role)
        try scope.run(
            "UPDATE memberships SET role = ? WHERE organisation_id = :organisation AND user_id = ?", role.id, userId)
        try keepAnOwner(in: scope)
        let changed = try existing(userId, in: scope)
        if changed.may(.sessionCreate) {
            try Revocation.takeBack(memberId: userId, in: scope)
        } else {
            // A member who may no longer share stops sharing.
            try Revocation.add(.member(userId, scope.organisationId), now: .now(), in: scope.transaction)
        }
        return changed
    }

    /// Removes a member. A member who leaves removes themselves.
    /// - Throws: ``Refusal`` `.notFound`, `.notAllowed`, `.lastOwner`, `.invalid`; ``StorageError``.
    public static func remove(_ userId: String, by remover: Member, in scope: TenantScope) throws -> Member {
        scope.lock()
        let member = try existing(userId, in: scope)
        guard member.organisation.personalOf != userId else {
            throw Refusal(.notPossible, "A member cannot leave their personal organisation.")
        }
        if userId != remover.user.id { try remover.mayGrant(member.role) }
        try scope.run("DELETE FROM memberships WHERE organisation_id = :organisation AND user_id = ?", userId)
        let tokens = try scope.transaction.rows(
            """
            UPDATE api_tokens SET revoked_at = ? WHERE organisation_id = ? AND user_id = ? AND revoked_at IS NULL
            RETURNING id
            """, Timestamp.now(), scope.organisationId, userId
        ) { try $0.text("id") }
        for token in tokens { try Revocation.add(.credential(token), now: .now(), in: scope.transaction) }
        try keepAnOwner(in: scope)
        try Revocation.add(.member(userId, scope.organisationId), now: .now(), in: scope.transaction)
        return member
    }

    /// Makes another member the owner and the current owner an admin.
    /// - Throws: ``Refusal`` `.notFound`, `.notAllowed`; ``StorageError``.
    public static func transfer(to userId: String, from owner: Member, in scope: TenantScope) throws -> Member {
        guard owner.role.isOwner else { throw Refusal(.notAllowed, "Only an owner can transfer an organisation.") }
        guard owner.organisation.personalOf == nil else {
            throw Refusal(.notPossible, "A personal organisation cannot be transferred.")
        }
        scope.lock()
        _ = try existing(userId, in: scope)
        guard userId != owner.user.id else { throw Refusal(.notPossible, "You are already the owner.") }
        let change: StaticString =
            "UPDATE memberships SET role = ? WHERE organisation_id = :organisation AND user_id = ?"
        try scope.run(change, Role.BuiltIn.owner.rawValue, userId)
        try Revocation.takeBack(memberId: userId, in: scope)
        try scope.run(change, Role.BuiltIn.admin.rawValue, owner.user.id)
        return try existing(userId, in: scope)
    }

    private static func existing(_ userId: String, in scope: TenantScope) throws -> Member {
        let found = try find(userId: userId, organisationId: scope.organisationId, in: scope.transaction)
        guard let found else { throw Refusal(.notFound, "There is no such member in this organisation.") }
        return found
    }

    /// Checked after the change and inside its transaction, so that two owners cannot both leave at the same time.
    private static func keepAnOwner(in scope: TenantScope) throws {
        let owner = try scope.first(
            "SELECT 1 AS found FROM memberships WHERE organisation_id = :organisation AND role = ? LIMIT 1",
            Role.BuiltIn.owner.rawValue
        ) { try $0.integer("found") }
        if owner == nil {
            throw Refusal(.lastOwner, "This is the last owner; transfer the organisation to another member first.")
        }
    }

    // MARK: Granting

    /// - Throws: ``Refusal`` `.notAllowed` if this member lacks permissions of the role.
    func mayGrant(_ role: Role) throws {
        if role.isOwner && !self.role.isOwner { throw Refusal(.notAllowed, "Only an owner can add or remove owners.") }
        try mayGrant(role.permissions)
    }

    func mayGrant(_ keys: Set<PermissionKey>) throws {
        let lacking = keys.subtracting(role.permissions)
        if let first = lacking.min() {
            throw Refusal(
                .notAllowed, "You cannot grant a permission that you lack: you do not have \(first.rawValue).")
        }
    }
}
