import Database
import Model

extension StorageFeature {
    /// Organisations' own issuers.
    static let singleSignOn = StorageFeature(
        name: "singleSignOn", tenantTables: ["organisation_issuers", "organisation_identities", "organisation_proofs"],
        migrations: [.singleSignOn], permissions: [.signOnManage])
}

extension Migration {
    static let singleSignOn = Migration(
        number: 14,
        script: """
            ALTER TABLE organisations ADD COLUMN requires_single_sign_on INTEGER NOT NULL DEFAULT 0;
            CREATE TABLE organisation_issuers (
                organisation_id TEXT PRIMARY KEY NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                issuer TEXT NOT NULL,
                client_id TEXT NOT NULL,
                secret BLOB NOT NULL,
                is_required INTEGER NOT NULL,
                is_for_tunnels INTEGER NOT NULL,
                changed_at INTEGER NOT NULL
            ) STRICT;
            CREATE TABLE organisation_identities (
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                subject TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                PRIMARY KEY (organisation_id, user_id)
            ) STRICT;
            CREATE UNIQUE INDEX organisation_identities_by_subject ON organisation_identities (organisation_id, subject);
            CREATE INDEX organisation_identities_by_user ON organisation_identities (user_id);
            CREATE TABLE organisation_proofs (
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                sign_in_id TEXT NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                ends_at INTEGER NOT NULL,
                PRIMARY KEY (organisation_id, sign_in_id)
            ) STRICT;
            CREATE INDEX organisation_proofs_by_sign_in ON organisation_proofs (sign_in_id);
            CREATE INDEX organisation_proofs_by_user ON organisation_proofs (user_id);
            """)
}

extension PermissionKey {
    public static let signOnManage = PermissionKey(
        "tenant:manage_sign_on", "set the organisation's single sign-on", [.owner])
}

extension AuditAction {
    public static let signOnChanged = AuditAction("organisation.sign_on_changed")
    public static let signedOn = AuditAction("organisation.signed_on")
    public static let signOnReset = AuditAction("organisation.sign_on_reset")
}

extension Refusal.Code {
    /// The member has to sign on with the organisation's issuer.
    public static let signOnNeeded = Self("sign_on_required", .forbidden)
    public static let signOnFailed = Self("sign_on_failed", .forbidden)
}
