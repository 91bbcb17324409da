extension StorageFeature {
    static let audit = StorageFeature(
        name: "audit", tenantTables: ["audit_events", "audit_chains"], permissions: [.auditRead])
}

extension PermissionKey {
    public static let auditRead = PermissionKey("audit:read", "read the audit log", [.owner, .admin, .support])
}
