public import Database
public import Model

/// The access policy of a tunnel or a domain. Its text is sealed, because it may hold passwords.
public struct StoredPolicy: Sendable {
    /// What a policy is for, by its id.
    public enum Target: Sendable, Equatable {
        case tunnel(String)
        case domain(String)

        var id: String {
            switch self {
            case .tunnel(let id), .domain(let id): id
            }
        }

        fileprivate var tunnelId: String? { if case .tunnel(let id) = self { id } else { nil } }
        fileprivate var domainId: String? { if case .domain(let id) = self { id } else { nil } }
    }

    public let target: Target
    public let organisationId: String
    /// Another number for each version of the policy.
    public let revision: Int
    /// JSON; nil if it cannot be opened.
    public let text: String?

    private static func place(_ target: Target) -> Vault.Place {
        Vault.Place(table: "access_policies", row: target.id, column: "sealed")
    }

    /// - Throws: ``StorageError``, also for a policy that cannot be opened.
    public static func find(_ target: Target, in scope: TenantScope) throws -> String? {
        let sealed = try scope.first(
            """
            SELECT sealed FROM access_policies
            WHERE organisation_id = :organisation AND tunnel_id IS ? AND domain_id IS ?
            """, target.tunnelId, target.domainId
        ) { try $0.blob("sealed") }
        return try sealed.map { String(decoding: try Vault.open($0, at: place(target), in: scope), as: UTF8.self) }
    }

    /// - Parameter text: JSON; nil removes the policy.
    public static func set(_ target: Target, _ text: String?, now: Timestamp, in scope: TenantScope) throws {
        try scope.run(
            "DELETE FROM access_policies WHERE organisation_id = :organisation AND tunnel_id IS ? AND domain_id IS ?",
            target.tunnelId, target.domainId)
        guard let text else { return }
        let sealed = try Vault.seal(Array(text.utf8), at: place(target), in: scope)
        // Random: the number of a removed policy is not used again.
        try scope.run(
            """
            INSERT INTO access_policies (id, organisation_id, tunnel_id, domain_id, sealed, revision, changed_at)
            VALUES (?, :organisation, ?, ?, ?, ?, ?)
            """, Identifier.make(now: now), target.tunnelId, target.domainId, sealed, Int.random(in: 1...Int.max), now)
    }

    /// The policies of all tunnels and domains that exist, for the edge.
    public static func all(in database: Transaction) throws -> [StoredPolicy] {
        let rows = try database.across(.upkeep).rows(
            "SELECT * FROM access_policies"
        ) { row in
            (
                try row.optionalText("tunnel_id"), try row.optionalText("domain_id"), try row.text("organisation_id"),
                try row.integer("revision"), try row.blob("sealed")
            )
        }
        return rows.compactMap { tunnel, domain, organisation, revision, sealed in
            guard let target = tunnel.map(Target.tunnel) ?? domain.map(Target.domain) else { return nil }
            // The edge refuses everybody where the policy cannot be opened.
            let text = try? Vault.open(sealed, at: place(target), in: database.tenant(organisation))
            return StoredPolicy(
                target: target, organisationId: organisation, revision: revision,
                text: text.map { String(decoding: $0, as: UTF8.self) })
        }
    }
}
