public import Database
public import Model

/// A named set of permissions: built in, or created by an organisation for itself.
public struct Role: Sendable, Equatable {
    /// The built-in roles, the same in every organisation.
    public typealias BuiltIn = PermissionKey.BuiltInRole

    /// A built-in role's word, or the id of an organisation's own role.
    public let id: String
    public let name: String
    public let permissions: Set<PermissionKey>

    public var isOwner: Bool { id == BuiltIn.owner.rawValue }
    public var isBuiltIn: Bool { BuiltIn(rawValue: id) != nil }

    public init(_ builtIn: BuiltIn) {
        id = builtIn.rawValue
        name = builtIn.rawValue
        permissions = builtIn.permissions
    }

    private init(id: String, name: String, permissions: Set<PermissionKey>) {
        self.id = id
        self.name = name
        self.permissions = permissions
    }

    /// Replaces a role that was deleted: it has no permissions.
    var powerless: Role { Role(id: "", name: "removed role", permissions: []) }

    /// The same role with at most these permissions. It is never an owner.
    func limited(to scopes: Set<PermissionKey>) -> Role {
        Role(id: "limited", name: name, permissions: permissions.intersection(scopes))
    }

    init(_ row: Row) throws {
        id = try row.text("id")
        name = try row.text("name")
        permissions = PermissionKey.parse(try row.text("permissions"))
    }

    /// The maximum number of an organisation's own roles. An organisation has few.
    private static let ownLimit = 50

    /// - Throws: ``StorageError``.
    static func find(id: String, in scope: TenantScope) throws -> Role? {
        if let builtIn = BuiltIn(rawValue: id) { return Role(builtIn) }
        return try scope.first(
            "SELECT * FROM roles WHERE organisation_id = :organisation AND id = ?", id, decode: Role.init)
    }

    /// Built-in roles first, then the organisation's own by name.
    public static func list(in scope: TenantScope) throws -> [Role] {
        let own = try scope.rows(
            "SELECT * FROM roles WHERE organisation_id = :organisation ORDER BY name LIMIT ?", ownLimit,
            decode: Role.init)
        return BuiltIn.allCases.map(Role.init) + own
    }

    /// Finds a role by its id or its name.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func named(_ word: String, in scope: TenantScope) throws -> Role {
        if let found = try list(in: scope).first(where: { $0.id == word || $0.name == word }) { return found }
        throw Refusal(.notFound, "There is no role '\(word)' in this organisation.")
    }

    /// - Throws: ``Refusal`` `.notAllowed` if the creator lacks one of the permissions, `.nameTaken`, `.invalid`.
    public static func create(
        name: String, permissions: Set<PermissionKey>, by maker: Member, now: Timestamp, in scope: TenantScope
    ) throws -> Role {
        try check(name: name, permissions: permissions, by: maker)
        scope.lock()
        let count = try list(in: scope).count - BuiltIn.allCases.count
        guard count < ownLimit else {
            throw Refusal(
                .limit, "An organisation has at most \(ownLimit) roles of its own.", limit: ownLimit, current: count)
        }
        let made = try scope.first(
            """
            INSERT INTO roles (id, organisation_id, name, permissions, created_at) VALUES (?, :organisation, ?, ?, ?)
            ON CONFLICT (organisation_id, name) DO NOTHING RETURNING *
            """, Identifier.make(now: now), name, PermissionKey.text(of: permissions), now, decode: Role.init)
        guard let made else { throw taken(name) }
        return made
    }

    /// Changes the permissions of an organisation's own role, with immediate effect for everybody who has it.
    /// - Throws: as ``create(name:permissions:by:now:in:)``, and `.notFound`.
    public static func change(
        id: String, permissions: Set<PermissionKey>, by maker: Member, in scope: TenantScope
    ) throws -> Role {
        let known = try own(id, in: scope)
        try check(name: known.name, permissions: permissions.union(known.permissions), by: maker)
        try scope.run(
            "UPDATE roles SET permissions = ? WHERE organisation_id = :organisation AND id = ?",
            PermissionKey.text(of: permissions), id)
        let mayHost = permissions.contains(.sessionCreate)
        if mayHost != known.permissions.contains(.sessionCreate) {
            let members = try scope.rows(
                "SELECT user_id FROM memberships WHERE organisation_id = :organisation AND role = ?", id
            ) { try $0.text("user_id") }
            for member in members {
                if mayHost {
                    try Revocation.takeBack(memberId: member, in: scope)
                } else {
                    try Revocation.add(.member(member, scope.organisationId), now: .now(), in: scope.transaction)
                }
            }
        }
        return try own(id, in: scope)
    }

    /// - Throws: ``Refusal`` `.notFound`, `.inUse`, `.notAllowed`; ``StorageError``.
    public static func remove(id: String, by maker: Member, in scope: TenantScope) throws -> Role {
        let known = try own(id, in: scope)
        try maker.mayGrant(known)
        scope.lock()
        let users =
            try scope.first(
                """
                SELECT (SELECT COUNT(*) FROM memberships WHERE organisation_id = :organisation AND role = ?)
                    + (SELECT COUNT(*) FROM invitations WHERE organisation_id = :organisation AND role = ?
                       AND accepted_at IS NULL AND revoked_at IS NULL) AS found
                """, id, id
            ) { try $0.integer("found") } ?? 0
        guard users == 0 else {
            throw Refusal(.inUse, "The role \(known.name) is in use by \(users); assign them another role first.")
        }
        try scope.run("DELETE FROM roles WHERE organisation_id = :organisation AND id = ?", id)
        return known
    }

    private static func own(_ id: String, in scope: TenantScope) throws -> Role {
        guard BuiltIn(rawValue: id) == nil else { throw Refusal(.notPossible, "Built-in roles cannot be changed.") }
        guard let known = try find(id: id, in: scope) else { throw Refusal(.notFound, "There is no such role.") }
        return known
    }

    private static func check(name: String, permissions: Set<PermissionKey>, by maker: Member) throws {
        try NameRule.check(name, "A role's name")
        guard BuiltIn(rawValue: name) == nil else {
            throw Refusal(.nameTaken, "\(name) is a built-in role; choose another name.")
        }
        try maker.mayGrant(permissions)
    }

    private static func taken(_ name: String) -> Refusal {
        Refusal(.nameTaken, "There is already a role named \(name); choose another name.")
    }
}

extension Role.BuiltIn {
    public var permissions: Set<PermissionKey> { Set(PermissionKey.ofOrganisations.filter { $0.roles.contains(self) }) }
}
