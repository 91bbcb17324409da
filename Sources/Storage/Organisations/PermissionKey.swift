/// What a member of an organisation may do. Roles are sets of these; tokens may carry fewer than their owner has.
public enum PermissionKey: String, Sendable, CaseIterable, Comparable {
    case sessionCreate = "session:create"
    case sessionReadAll = "session:read_all"
    case sessionEndAny = "session:end_any"
    case tenantRead = "tenant:read"
    case tenantUpdate = "tenant:update"
    case tenantManageMembers = "tenant:manage_members"
    case tenantManageRoles = "tenant:manage_roles"
    case tenantExport = "tenant:export"
    case tenantDelete = "tenant:delete"
    case tenantTransfer = "tenant:transfer"
    case usageRead = "usage:read"
    case auditRead = "audit:read"
    case tokenCreate = "token:create"
    /// The appliance's own: no organisation's role has them.
    case applianceManage = "appliance:manage"

    /// One sentence for people who make a role.
    public var explanation: String {
        switch self {
        case .sessionCreate:
            "share terminals, manage one's own share sessions and codes, and join others' with a token that has scopes"
        case .sessionReadAll: "see everybody's share sessions"
        case .sessionEndAny: "end anybody's share session"
        case .tenantRead: "see the organisation, its members and its plan"
        case .tenantUpdate: "rename the organisation and set its rules"
        case .tenantManageMembers: "invite people, change their roles and remove them"
        case .tenantManageRoles: "make and change roles"
        case .tenantExport: "take all of the organisation's data out"
        case .tenantDelete: "delete the organisation, and bring it back within 30 days"
        case .tenantTransfer: "hand the organisation to another owner"
        case .usageRead: "see what was used"
        case .auditRead: "read the audit log"
        case .tokenCreate: "make API tokens for oneself"
        case .applianceManage: "administer this server: plans, accounts, metrics"
        }
    }

    /// Those that an organisation's role can hold.
    public static let ofOrganisations = allCases.filter { $0 != .applianceManage }

    public static func < (left: PermissionKey, right: PermissionKey) -> Bool { left.rawValue < right.rawValue }

    /// Words separated by spaces; words that this version does not know are dropped: they allow nothing here.
    static func parse(_ text: String) -> Set<PermissionKey> {
        Set(text.split(separator: " ").compactMap { PermissionKey(rawValue: String($0)) })
    }

    static func text(of keys: Set<PermissionKey>) -> String { keys.sorted().map(\.rawValue).joined(separator: " ") }
}
