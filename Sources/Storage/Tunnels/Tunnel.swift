public import Database
public import Model

/// A name or a port on this server that leads to a machine. Its row says who owns it. The edge knows whether a machine serves it now.
public struct Tunnel: Sendable, Equatable {
    /// The maximum number of tunnels in one response. An organisation has few tunnels.
    static let listLimit = 1000
    /// How long a released name or port stays with its organisation, in seconds: senders of webhooks and people with
    /// bookmarks need that long to notice.
    public static let reservedSeconds: Int64 = 90 * 86_400

    public let id: String
    public let organisationId: String
    /// The owner. Nil if the account no longer exists.
    public let userId: String?
    public let kind: TunnelKind
    /// The name below the tunnel domain, for `http` and `tls`.
    public let name: String?
    /// The port, for `tcp`.
    public let port: Int?
    /// Whether the tunnel is kept when its command ends.
    public let isKept: Bool
    public let createdAt: Timestamp
    /// When a machine last served it.
    public let seenAt: Timestamp?
    public let pausedAt: Timestamp?
    /// Paused by an administrator of the server: its owner cannot resume it.
    public let isBlocked: Bool
    public let releasedAt: Timestamp?
    /// The enrolled machine that declares it. Nil if a command opened it.
    public let machineId: String?
    /// The machine's label for it.
    public let label: String?
    /// The total usage in the ledger.
    public let usage: TunnelUsage

    init(_ row: Row) throws {
        id = try row.text("id")
        organisationId = try row.text("organisation_id")
        userId = try row.optionalText("user_id")
        kind = try row.word("kind")
        name = try row.optionalText("name")
        port = try row.optionalInteger("port")
        isKept = try row.flag("is_kept")
        createdAt = try row.time("created_at")
        seenAt = try row.optionalTime("seen_at")
        pausedAt = try row.optionalTime("paused_at")
        isBlocked = try row.flag("is_blocked")
        releasedAt = try row.optionalTime("released_at")
        machineId = try row.optionalText("machine_id")
        label = try row.optionalText("label")
        usage = TunnelUsage(
            requests: try row.integer("requests"), bytes: try row.integer("bytes"),
            connections: try row.integer("connections"), errors: try row.integer("errors"))
    }

    // MARK: Looking

    /// A tunnel of the organisation that is not released.
    public static func find(id: String, in scope: TenantScope) throws -> Tunnel? {
        try scope.first(
            "SELECT * FROM tunnels WHERE organisation_id = :organisation AND id = ? AND released_at IS NULL", id,
            decode: Tunnel.init)
    }

    /// Finds a tunnel by its id, its name or its port, as people name it.
    public static func find(named text: String, in scope: TenantScope) throws -> Tunnel? {
        try scope.first(
            """
            SELECT * FROM tunnels WHERE organisation_id = :organisation AND released_at IS NULL
            AND (id = ? OR name = ? OR port = ?) ORDER BY id = ? DESC, name = ? DESC LIMIT 1
            """, text, text, Int(text), text, text, decode: Tunnel.init)
    }

    /// Newest first.
    /// - Parameter userId: nil for everybody's.
    public static func list(ownedBy userId: String?, in scope: TenantScope) throws -> [Tunnel] {
        try scope.rows(
            """
            SELECT * FROM tunnels WHERE organisation_id = :organisation AND released_at IS NULL
            AND (user_id = ? OR ? IS NULL) ORDER BY created_at DESC, id DESC LIMIT ?
            """, userId, userId, listLimit, decode: Tunnel.init)
    }

    /// All tunnels of an organisation, including released ones, oldest first.
    /// - Parameter after: the last id of the previous page, or empty.
    public static func history(after: String, in scope: TenantScope) throws -> [Tunnel] {
        try scope.rows(
            "SELECT * FROM tunnels WHERE organisation_id = :organisation AND id > ? ORDER BY id LIMIT ?", after,
            listLimit, decode: Tunnel.init)
    }

    /// The tunnels of all organisations, for the server itself: the names whose machine is away, and the administrators' list.
    public static func all(in database: Transaction) throws -> [Tunnel] {
        try database.across(.upkeep).rows(
            "SELECT * FROM tunnels WHERE released_at IS NULL ORDER BY created_at DESC, id DESC", decode: Tunnel.init)
    }

    /// Finds a tunnel of any organisation, for administrators of the server.
    public static func findAnywhere(id: String, in database: Transaction) throws -> Tunnel? {
        try database.across(.upkeep).first(
            "SELECT * FROM tunnels WHERE id = ? AND released_at IS NULL", id, decode: Tunnel.init)
    }

    /// The tunnels that a machine has declared, by label.
    public static func list(of machineId: String, in scope: TenantScope) throws -> [Tunnel] {
        try scope.rows(
            """
            SELECT * FROM tunnels WHERE organisation_id = :organisation AND released_at IS NULL AND machine_id = ?
            ORDER BY label IS NULL, label, id LIMIT ?
            """, machineId, listLimit, decode: Tunnel.init)
    }

    /// The same by id, one page at a time.
    /// - Parameter after: the last id of the previous page, or empty.
    public static func page(of machineId: String, after: String, limit: Int, in scope: TenantScope) throws -> [Tunnel] {
        try scope.rows(
            """
            SELECT * FROM tunnels WHERE organisation_id = :organisation AND released_at IS NULL AND machine_id = ?
            AND id > ? ORDER BY id LIMIT ?
            """, machineId, after, limit, decode: Tunnel.init)
    }

    // MARK: Its life

    /// Releases the name or port. It stays reserved for the organisation.
    /// - Returns: false if it was already released.
    @discardableResult
    public static func release(id: String, now: Timestamp, in scope: TenantScope) throws -> Bool {
        try scope.run(
            """
            UPDATE tunnels SET released_at = ?, paused_at = NULL
            WHERE organisation_id = :organisation AND id = ? AND released_at IS NULL
            """, now, id) > 0
    }

    /// - Parameter pausedAt: nil resumes it.
    public static func setPaused(id: String, _ pausedAt: Timestamp?, in scope: TenantScope) throws {
        try scope.run("UPDATE tunnels SET paused_at = ? WHERE organisation_id = :organisation AND id = ?", pausedAt, id)
    }

    /// For administrators of the server. The owner's own setting is not changed.
    public static func setBlocked(id: String, _ isBlocked: Bool, in scope: TenantScope) throws {
        try scope.run(
            "UPDATE tunnels SET is_blocked = ? WHERE organisation_id = :organisation AND id = ?", isBlocked, id)
    }

    /// Whether visitors are refused.
    public var isPaused: Bool { pausedAt != nil || isBlocked }

    /// The reason why visitors are refused, and who can change that.
    public var pausedRefusal: Refusal {
        isBlocked
            ? Refusal(.tunnelPaused, "An administrator of the server has paused \(place); ask them.")
            : Refusal(.tunnelPaused, "\(place) is paused; run 'postern tunnel resume \(name ?? "\(port ?? 0)")' first.")
    }

    /// - Throws: ``Refusal`` `.addressLists` if the plan allows none.
    public static func checkAddressLists(_ allowance: Allowance, in database: Transaction) throws {
        guard let (limit, plan) = allowance[.ipAllowlist], limit == 0 else { return }
        let advice = database.keysAndPlans.plans.advice(from: plan, for: .ipAllowlist, whoUpgrades: "Upgrade to")
        throw Refusal(
            .addressLists, "Lists of addresses are not part of the \(plan.rawValue) plan. \(advice)", limit: 0,
            current: 0,
            plan: plan)
    }

    /// The maximum number of visitors at once, with the plan that sets it.
    public static func connectionLimit(_ allowance: Allowance) throws -> (value: Int, plan: String)? {
        allowance[.connections].map { ($0.value, $0.plan.rawValue) }
    }

    /// A machine serves these now.
    public static func markSeen(_ ids: [String], now: Timestamp, in database: Transaction) throws {
        for id in ids { try database.across(.upkeep).run("UPDATE tunnels SET seen_at = ? WHERE id = ?", now, id) }
    }

    /// Releases tunnels that no command serves any more: generated names end with their command, even if it could not announce its end.
    /// - Parameter before: tunnels that were served since this time are kept.
    /// - Returns: the released tunnels.
    public static func releaseAbandoned(before: Timestamp, now: Timestamp, in database: Transaction) throws -> [Tunnel]
    {
        let abandoned = try database.across(.upkeep).rows(
            """
            SELECT * FROM tunnels WHERE is_kept = 0 AND released_at IS NULL AND COALESCE(seen_at, created_at) < ?
            """, before, decode: Tunnel.init)
        for tunnel in abandoned { try release(id: tunnel.id, now: now, in: database.tenant(tunnel.organisationId)) }
        return abandoned
    }
}

/// The usage of a tunnel's visitors.
public struct TunnelUsage: Sendable, Equatable {
    public var requests: Int
    /// Both directions, as counted on the visitor's side without TLS.
    public var bytes: Int
    public var connections: Int
    /// Requests that failed: statuses from 500 on.
    public var errors: Int

    public init(requests: Int = 0, bytes: Int = 0, connections: Int = 0, errors: Int = 0) {
        self.errors = errors
        self.requests = requests
        self.bytes = bytes
        self.connections = connections
    }
}
