import Database
import Model

extension StorageFeature {
    /// Organisations' own host names for their tunnels.
    static let domains = StorageFeature(
        name: "domains", tenantTables: ["domains"], migrations: [.domains, .domainAlerts],
        permissions: [.domainRead, .domainManage],
        limits: [.customDomains],
        clearAway: { _, database in
            try Domain.clearAway(now: .now(), in: database)
            return 0
        })
}

extension Migration {
    /// Several organisations may add a name, and one of them can verify it. A released row keeps the name reserved.
    static let domains = Migration(
        number: 12,
        script: """
            CREATE TABLE domains (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
                name TEXT NOT NULL,
                proof TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                verified_at INTEGER,
                checked_at INTEGER,
                missing_since INTEGER,
                problem TEXT,
                tunnel_id TEXT REFERENCES tunnels (id) ON DELETE SET NULL,
                released_at INTEGER
            ) STRICT;
            CREATE UNIQUE INDEX domains_verified ON domains (name) WHERE verified_at IS NOT NULL AND released_at IS NULL;
            CREATE UNIQUE INDEX domains_by_organisation ON domains (organisation_id, name) WHERE released_at IS NULL;
            CREATE INDEX domains_by_name ON domains (name, released_at);
            CREATE INDEX domains_by_user ON domains (user_id);
            CREATE INDEX domains_by_tunnel ON domains (tunnel_id);
            """)
}

extension Migration {
    static let domainAlerts = Migration(
        number: 15, script: "ALTER TABLE domains ADD COLUMN alerted INTEGER NOT NULL DEFAULT 0;")
}

extension PermissionKey {
    public static let domainRead = PermissionKey(
        "domain:read", "see the organisation's domains", [.owner, .admin, .support, .member])
    public static let domainManage = PermissionKey(
        "domain:manage", "add, verify, route and remove domains", [.owner, .admin])
}

extension PlanLimit {
    /// 0 or no limit: whether custom domains may be used at all.
    public static let customDomains = PlanLimit("customDomains", "Custom domains", [.free: 0])
}

extension AuditAction {
    public static let domainAdded = AuditAction("domain.added")
    public static let domainVerified = AuditAction("domain.verified")
    public static let domainRouted = AuditAction("domain.routed")
    public static let domainCertificateEnding = AuditAction("domain.certificate_ending")
    public static let domainPaused = AuditAction("domain.paused")
    public static let domainRemoved = AuditAction("domain.removed")
}

extension Refusal.Code {
    public static let domainLimit = Self("domain_limit_reached", .forbidden)
    public static let domainTaken = Self("domain_taken", .conflict)
    /// The name server did not answer.
    public static let lookupFailed = Self("lookup_failed", .conflict)
    public static let domainUnverified = Self("domain_unverified", .conflict)
}
