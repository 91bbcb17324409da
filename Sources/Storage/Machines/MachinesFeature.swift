import Database
import Model

extension StorageFeature {
    /// Machines that connect to the server with their own key.
    static let machines = StorageFeature(
        name: "machines", tenantTables: ["machines", "enrolment_codes"], migrations: [.machines],
        permissions: [.machineEnroll, .machineRead, .machineManage], limits: [.hosts],
        endAccount: { userId, now, database in
            // Also in other organisations: a machine acts for the person who enrolled it.
            let owned = try database.across(.upkeep).rows(
                "SELECT id, organisation_id FROM machines WHERE user_id = ? AND revoked_at IS NULL", userId
            ) { (try $0.text("id"), try $0.text("organisation_id")) }
            for (id, organisation) in owned {
                try Machine.revoke(id: id, now: now, in: database.tenant(organisation))
            }
        },
        clearAway: { cutoffs, database in
            try database.across(.upkeep).run(
                "DELETE FROM enrolment_codes WHERE id IN (SELECT id FROM enrolment_codes WHERE expires_at < ? LIMIT ?)",
                cutoffs.links, batch)
        })

    /// The number of rows that one transaction removes.
    private static let batch = 500
}

extension Migration {
    /// A key's fingerprint is stored once, whatever happened to its machine: nobody else can enrol a key that was revoked.
    static let machines = Migration(
        number: 7,
        script: """
            CREATE TABLE machines (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
                name TEXT NOT NULL,
                fingerprint TEXT NOT NULL UNIQUE,
                next_fingerprint TEXT UNIQUE,
                allows TEXT NOT NULL,
                software TEXT NOT NULL,
                platform TEXT NOT NULL,
                is_strong INTEGER NOT NULL,
                enrolled_at INTEGER NOT NULL,
                seen_at INTEGER,
                seen_from TEXT,
                link TEXT,
                placed_at INTEGER,
                lost_at INTEGER,
                revoked_at INTEGER
            ) STRICT;
            CREATE UNIQUE INDEX machines_by_name ON machines (organisation_id, name) WHERE revoked_at IS NULL;
            CREATE INDEX machines_by_user ON machines (user_id);
            CREATE TABLE enrolment_codes (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                digest BLOB NOT NULL UNIQUE,
                is_strong INTEGER NOT NULL,
                credential TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL,
                used_at INTEGER,
                machine_id TEXT REFERENCES machines (id) ON DELETE SET NULL
            ) STRICT;
            CREATE INDEX enrolment_codes_by_user ON enrolment_codes (user_id);
            CREATE INDEX enrolment_codes_by_organisation ON enrolment_codes (organisation_id);
            CREATE INDEX enrolment_codes_by_machine ON enrolment_codes (machine_id);
            ALTER TABLE tunnels ADD COLUMN machine_id TEXT REFERENCES machines (id) ON DELETE SET NULL;
            ALTER TABLE tunnels ADD COLUMN label TEXT;
            CREATE UNIQUE INDEX tunnels_by_machine ON tunnels (machine_id, label) WHERE label IS NOT NULL;
            """)
}

extension PermissionKey {
    public static let machineEnroll = PermissionKey(
        "machine:enroll", "enrol machines, and manage one's own", [.owner, .admin, .member])
    public static let machineRead = PermissionKey(
        "machine:read", "see all machines", [.owner, .admin, .support])
    public static let machineManage = PermissionKey(
        "machine:manage", "rename and revoke any machine", [.owner, .admin])
}

extension PlanLimit {
    /// Counted by the account that enrolled them.
    public static let hosts = PlanLimit("maxHosts", "Machines connected at once, per person", [.free: 1, .pro: 5])
}

extension AuditAction {
    public static let machineInvited = AuditAction("machine.invited")
    public static let machineEnrolled = AuditAction("machine.enrolled")
    public static let machineConnected = AuditAction("machine.connected")
    public static let machineRenamed = AuditAction("machine.renamed")
    public static let machineRekeyed = AuditAction("machine.rekeyed")
    public static let machineRevoked = AuditAction("machine.revoked")
    /// Two machines have the same key.
    public static let machineDuplicated = AuditAction("machine.duplicated")
}

extension Refusal {
    public static let machineUnknown = Refusal(
        .machineUnknown, "This machine's key is not enrolled here; run 'postern machine enroll' on it.")
}

extension Refusal.Code {
    public static let hostLimit = Self("host_limit_reached", .forbidden)
    /// A code that is not valid, or a key that is enrolled elsewhere.
    public static let enrolment = Self("enrolment_refused", .forbidden)
    /// No machine has this key.
    public static let machineUnknown = Self("machine_unknown", .unauthenticated)
    public static let machineRevoked = Self("machine_revoked", .forbidden)
}
