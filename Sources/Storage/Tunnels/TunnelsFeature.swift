import Database
import Model

extension StorageFeature {
    /// Names and ports that lead to a machine behind a link.
    static let tunnels = StorageFeature(
        name: "tunnels", tenantTables: ["tunnels", "tunnel_hours"], migrations: [.tunnels, .tunnelHours],
        permissions: [.tunnelCreate, .tunnelRead, .tunnelManage], limits: [.tunnels, .connections],
        endAccount: { userId, now, database in
            // Also those of other organisations. An account's own tunnels are deleted with it.
            let owned = try database.across(.upkeep).rows(
                "SELECT id, organisation_id FROM tunnels WHERE user_id = ? AND released_at IS NULL", userId
            ) { (try $0.text("id"), try $0.text("organisation_id")) }
            for (id, organisation) in owned {
                try Tunnel.release(id: id, now: now, in: database.tenant(organisation))
            }
        },
        clearAway: { cutoffs, database in
            try TunnelHour.clearAway(now: .now(), in: database)
            return try database.across(.upkeep).run(
                "DELETE FROM tunnels WHERE id IN (SELECT id FROM tunnels WHERE released_at < ? LIMIT ?)",
                cutoffs.names, batch)
        })

    /// The number of rows that one transaction removes.
    private static let batch = 500
}

extension Migration {
    /// Names are unique on the whole server, including released ones: for 90 days they stay with their former owner.
    static let tunnels = Migration(
        number: 6,
        script: """
            CREATE TABLE tunnels (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
                kind TEXT NOT NULL,
                name TEXT UNIQUE,
                port INTEGER UNIQUE,
                is_kept INTEGER NOT NULL,
                created_at INTEGER NOT NULL,
                seen_at INTEGER,
                paused_at INTEGER,
                is_blocked INTEGER NOT NULL DEFAULT 0,
                released_at INTEGER,
                requests INTEGER NOT NULL DEFAULT 0,
                bytes INTEGER NOT NULL DEFAULT 0,
                connections INTEGER NOT NULL DEFAULT 0
            ) STRICT;
            CREATE INDEX tunnels_by_organisation ON tunnels (organisation_id, released_at);
            CREATE INDEX tunnels_by_user ON tunnels (user_id);
            CREATE INDEX tunnels_released ON tunnels (released_at) WHERE released_at IS NOT NULL;
            """)
}

extension PermissionKey {
    public static let tunnelCreate = PermissionKey(
        "tunnel:create", "open tunnels, and manage one's own", [.owner, .admin, .member])
    public static let tunnelRead = PermissionKey(
        "tunnel:read", "see all tunnels", [.owner, .admin, .support])
    public static let tunnelManage = PermissionKey(
        "tunnel:manage", "stop, pause and remove any tunnel", [.owner, .admin])
}

extension PlanLimit {
    public static let tunnels = PlanLimit("maxTunnels", "Tunnels", [.free: 3, .pro: 25, .team: 100])
    /// Visitors' connections at once, per tunnel.
    public static let connections = PlanLimit(
        "maxConnections", "Connections per tunnel", [.free: 50, .pro: 500, .team: 2000])
}

extension AuditAction {
    public static let tunnelCreated = AuditAction("tunnel.created")
    public static let tunnelConnected = AuditAction("tunnel.connected")
    public static let tunnelPaused = AuditAction("tunnel.paused")
    public static let tunnelResumed = AuditAction("tunnel.resumed")
    /// Its command was told to stop.
    public static let tunnelStopped = AuditAction("tunnel.stopped")
    /// Its name or port was released.
    public static let tunnelReleased = AuditAction("tunnel.released")
}

extension Refusal {
    public static let noTunnelDomain = Refusal(
        .tunnelsOff,
        "This server has no domain for tunnels; its owner must set tunnel-domain and a wildcard certificate for it.")
}

extension Refusal.Code {
    public static let tunnelLimit = Self("tunnel_limit_reached", .forbidden)
    /// The plan allows no lists of addresses.
    public static let addressLists = Self("ip_allowlist_not_allowed", .forbidden)
    public static let tunnelPaused = Self("tunnel_paused", .forbidden)
    /// The server's owner has configured no domain or no ports for tunnels.
    public static let tunnelsOff = Self("tunnels_off", .conflict)
}
