extension StorageFeature {
    /// Plans, their limits, and the usage ledger.
    static let plans = StorageFeature(
        name: "plans", tenantTables: ["usage_entries"], permissions: [.usageRead],
        limits: [.sessions, .retentionHours, .ipAllowlist])
}

extension PermissionKey {
    public static let usageRead = PermissionKey("usage:read", "see usage", [.owner, .admin, .support])
}

/// Limits that clients already know, but that nothing counts yet.
extension PlanLimit {
    /// Interactive sessions at once on those machines.
    public static let sessions = PlanLimit(
        "maxSessions", "Sessions at once on machines", [.free: 2], isOffered: false)
    public static let retentionHours = PlanLimit(
        "retentionHours", "Retention of inspections, hours", [.free: 24, .pro: 168, .team: 720, .enterprise: 720],
        isOffered: false)
    public static let ipAllowlist = PlanLimit("ipAllowlist", "Lists of allowed addresses", [.free: 0])
}
