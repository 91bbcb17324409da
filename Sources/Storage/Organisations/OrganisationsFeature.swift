import Database

extension StorageFeature {
    /// Organisations, their members, roles and invitations.
    static let organisations = StorageFeature(
        name: "organisations", tenantTables: ["roles", "invitations"], migrations: [.organisationSlugs],
        permissions: [
            .tenantRead, .tenantUpdate, .tenantManageMembers, .tenantManageRoles, .tenantExport, .tenantDelete,
            .tenantTransfer,
        ],
        clearAway: { cutoffs, database in
            try database.across(.upkeep).run("DELETE FROM invitations WHERE expires_at < ?", cutoffs.links)
            return 0
        })
}

extension Migration {
    /// An account's own organisation gets the account's name, which no other account has. Other organisations get a
    /// short name that their members may change.
    static let organisationSlugs = Migration(
        number: 9,
        script: """
            ALTER TABLE organisations ADD COLUMN slug TEXT NOT NULL DEFAULT '';
            UPDATE organisations SET slug = lower((SELECT username FROM users WHERE users.id = personal_of))
                WHERE personal_of IS NOT NULL;
            UPDATE organisations SET slug = 'organisation-' || substr(id, -12) WHERE length(slug) > 40;
            UPDATE organisations SET slug = 'organisation-' || substr(id, -12) WHERE personal_of IS NULL;
            UPDATE organisations SET slug = id WHERE slug IN (SELECT slug FROM organisations GROUP BY slug HAVING count(*) > 1);
            CREATE UNIQUE INDEX organisations_by_slug ON organisations (slug);
            """)
}

extension PermissionKey {
    public static let tenantRead = PermissionKey(
        "tenant:read", "see the organisation, its members and its plan", [.owner, .admin, .support, .member])
    public static let tenantUpdate = PermissionKey(
        "tenant:update", "rename the organisation and set its rules", [.owner, .admin])
    public static let tenantManageMembers = PermissionKey(
        "tenant:manage_members", "invite people, change their roles and remove them", [.owner, .admin])
    public static let tenantManageRoles = PermissionKey(
        "tenant:manage_roles", "create and change roles", [.owner, .admin])
    public static let tenantExport = PermissionKey(
        "tenant:export", "export all of the organisation's data", [.owner, .admin])
    public static let tenantDelete = PermissionKey(
        "tenant:delete", "delete the organisation, and restore it within 30 days", [.owner])
    public static let tenantTransfer = PermissionKey(
        "tenant:transfer", "transfer the organisation to another owner", [.owner])
}

extension AuditAction {
    public static let organisationCreated = AuditAction("organisation.created")
    public static let organisationChanged = AuditAction("organisation.changed")
    public static let organisationDeleted = AuditAction("organisation.deleted")
    public static let organisationRestored = AuditAction("organisation.restored")
    public static let organisationExported = AuditAction("organisation.exported")
    public static let organisationTransferred = AuditAction("organisation.transferred")
    public static let organisationPurged = AuditAction("organisation.purged")
    public static let memberInvited = AuditAction("member.invited")
    public static let invitationRevoked = AuditAction("member.invitation_revoked")
    public static let memberJoined = AuditAction("member.joined")
    public static let memberRoleChanged = AuditAction("member.role_changed")
    public static let memberRemoved = AuditAction("member.removed")
    public static let roleCreated = AuditAction("role.created")
    public static let roleChanged = AuditAction("role.changed")
    public static let roleRemoved = AuditAction("role.removed")
    public static let planSet = AuditAction("plan.set")
}

extension Refusal.Code {
    public static let lastOwner = Self("last_owner", .conflict)
    public static let invitation = Self("invitation_invalid", .gone)
}
