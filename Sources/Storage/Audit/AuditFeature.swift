import Database

extension StorageFeature {
    static let audit = StorageFeature(
        name: "audit", tenantTables: ["audit_events", "audit_chains"], migrations: [.auditUserAgents],
        permissions: [.auditRead])
}

extension Migration {
    static let auditUserAgents = Migration(
        number: 10, script: "ALTER TABLE audit_events ADD COLUMN user_agent TEXT NOT NULL DEFAULT ''")
}

extension PermissionKey {
    public static let auditRead = PermissionKey("audit:read", "read the audit log", [.owner, .admin, .support])
}
