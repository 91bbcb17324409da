import Database
import Model

extension StorageFeature {
    /// Who may use tunnels and domains.
    static let access = StorageFeature(name: "access", tenantTables: ["access_policies"], migrations: [.access])
}

extension Migration {
    /// A policy belongs to a tunnel or to a domain, and is removed with it.
    static let access = Migration(
        number: 13,
        script: """
            CREATE TABLE access_policies (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                tunnel_id TEXT UNIQUE REFERENCES tunnels (id) ON DELETE CASCADE,
                domain_id TEXT UNIQUE REFERENCES domains (id) ON DELETE CASCADE,
                sealed BLOB NOT NULL,
                revision INTEGER NOT NULL,
                changed_at INTEGER NOT NULL,
                CHECK ((tunnel_id IS NULL) <> (domain_id IS NULL))
            ) STRICT;
            CREATE INDEX access_policies_by_organisation ON access_policies (organisation_id);
            """)
}

extension AuditAction {
    public static let accessChanged = AuditAction("access.changed")
    public static let accessSignedIn = AuditAction("access.signed_in")
}

extension Refusal.Code {
    /// Only members of the organisation may use a private tunnel.
    public static let notAMember = Self("not_a_member", .forbidden)
}
