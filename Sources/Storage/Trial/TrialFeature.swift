import Database

extension StorageFeature {
    /// Lists of links that an organisation keeps: a trial of what a new feature touches.
    static let trial = StorageFeature(
        name: "trial", tenantTables: ["trial_lists", "trial_links"], migrations: [.trialTables],
        permissions: [.trialWrite], limits: [.trialLinks])
}

extension Migration {
    static let trialTables = Migration(
        number: 5,
        script: """
            CREATE TABLE trial_lists (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                name TEXT NOT NULL
            ) STRICT;
            CREATE TABLE trial_links (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                list_id TEXT NOT NULL REFERENCES trial_lists (id) ON DELETE CASCADE,
                url TEXT NOT NULL
            ) STRICT;
            """)
}

extension PermissionKey {
    public static let trialWrite = PermissionKey("trial:write", "keep lists of links", [.owner, .admin, .member])
}

extension PlanLimit {
    public static let trialLinks = PlanLimit("maxTrialLinks", "Links in one list", [.free: 2])
}

extension AuditAction {
    public static let trialLinkAdded = AuditAction("trial.link_added")
}

extension Refusal.Code {
    public static let trialFull = Self("trial_full", .forbidden)
}
