public import Database
public import Model

/// An organisation's own host name. It can point to a tunnel once the organisation has proved that it controls the name.
public struct Domain: Sendable, Equatable {
    /// A removed name stays reserved for its organisation, in seconds: webhooks and old records go on leading here.
    private static let reservedSeconds: Int64 = 90 * 86_400
    /// A proof may be missing for so long before visitors are let in no more, in seconds.
    public static let patience: Int64 = 7 * 86_400
    /// Of one organisation, whatever its plan: far above what one team has.
    private static let most = 1_000
    /// Domains on one page.
    private static let pageSize = 1_000

    public let id: String
    public let organisationId: String
    public let name: String
    /// What the TXT record must say.
    public let proof: String
    public let createdAt: Timestamp
    public let verifiedAt: Timestamp?
    public let checkedAt: Timestamp?
    /// Since when the proof of a verified domain was not found.
    public let missingSince: Timestamp?
    /// What was wrong at the last check, in words.
    public let problem: String?
    public let tunnelId: String?
    /// Of which end of the certificate the owners were told: 0 none, 1 a quarter of its lifetime is left, 2 a tenth.
    public let alerted: Int

    init(_ row: Row) throws {
        id = try row.text("id")
        organisationId = try row.text("organisation_id")
        name = try row.text("name")
        proof = try row.text("proof")
        createdAt = try row.time("created_at")
        verifiedAt = try row.optionalTime("verified_at")
        checkedAt = try row.optionalTime("checked_at")
        missingSince = try row.optionalTime("missing_since")
        problem = try row.optionalText("problem")
        tunnelId = try row.optionalText("tunnel_id")
        alerted = try row.integer("alerted")
    }

    /// Whether visitors are let in.
    public func isServed(now: Timestamp) -> Bool {
        guard verifiedAt != nil, tunnelId != nil else { return false }
        return missingSince.map { now.milliseconds - $0.milliseconds < Self.patience * 1000 } ?? true
    }

    /// Where the proof is looked up.
    public var proofName: String { "_postern-verify.\(name)" }

    // MARK: Making

    /// - Parameter name: as ``DomainName`` has checked it.
    /// - Throws: ``Refusal`` `.domainLimit`, `.domainTaken`; ``StorageError``.
    public static func add(
        _ name: DomainName, by caller: Caller, now: Timestamp, in database: Transaction
    ) throws -> (domain: Domain, isNew: Bool) {
        let member = try caller.member(may: .domainManage, in: database)
        let scope = database.tenant(member.organisation.id)
        if let known = try find(named: name.text, in: scope) { return (known, false) }
        try checkLimit(caller.allowance(in: member.organisation, database), in: scope)
        try checkFree(name.text, for: member.organisation.id, now: now, in: database)
        let made = try scope.first(
            """
            INSERT INTO domains (id, organisation_id, user_id, name, proof, created_at)
            VALUES (?, :organisation, ?, ?, ?, ?) RETURNING *
            """, Identifier.make(now: now), caller.user.id, name.text,
            "postern-verify=\(RandomText.makeReadable(letters: 32))", now, decode: Domain.init)
        guard let made else { throw StorageError(.failed, "the new domain was not returned") }
        return (made, true)
    }

    private static func checkLimit(_ allowance: Allowance, in scope: TenantScope) throws {
        scope.lock()
        let current =
            try scope.first(
                "SELECT count(*) AS found FROM domains WHERE organisation_id = :organisation AND released_at IS NULL"
            ) { try $0.integer("found") } ?? 0
        guard let (limit, plan) = allowance[.customDomains] else {
            if current >= most { throw Refusal(.domainLimit, "An organisation has at most \(most) domains.") }
            return
        }
        guard current >= limit else { return }
        let sentence =
            limit == 0
            ? "Custom domains are not part of the \(plan.rawValue) plan."
            : "Domain limit reached (\(current)/\(limit))."
        throw Refusal(
            .domainLimit, "\(sentence) Upgrade your plan for more domains.", limit: limit, current: current, plan: plan)
    }

    /// Refuses a name that another organisation has verified, or has reserved.
    private static func checkFree(
        _ name: String, for organisation: String, now: Timestamp, in database: Transaction
    ) throws {
        let other = try database.across(.sharedNames).first(
            """
            SELECT 1 AS found FROM domains WHERE name = ? AND organisation_id <> ? AND verified_at IS NOT NULL
            AND (released_at IS NULL OR released_at > ?) AND (missing_since IS NULL OR missing_since > ?)
            """, name, organisation, now.advanced(bySeconds: -reservedSeconds),
            now.advanced(bySeconds: -patience)
        ) { try $0.integer("found") }
        guard other == nil else {
            throw Refusal(
                .domainTaken, "\(name) belongs to another organisation of this server; ask the server's owner.")
        }
    }

    // MARK: Finding

    /// - Parameter named: its name or its id.
    public static func find(named: String, in scope: TenantScope) throws -> Domain? {
        try scope.first(
            """
            SELECT * FROM domains WHERE organisation_id = :organisation AND (name = ? OR id = ?) AND released_at IS NULL
            """, named.lowercased(), named, decode: Domain.init)
    }

    /// By name.
    public static func list(in scope: TenantScope) throws -> [Domain] {
        try scope.rows(
            "SELECT * FROM domains WHERE organisation_id = :organisation AND released_at IS NULL ORDER BY name LIMIT ?",
            pageSize, decode: Domain.init)
    }

    /// Of all organisations, with the organisation's name: for administrators of the server.
    public static func listEverywhere(in database: Transaction) throws -> [(domain: Domain, organisation: String)] {
        try database.across(.administration).rows(
            """
            SELECT domains.*, organisations.name AS organisation_name FROM domains
            JOIN organisations ON organisations.id = domains.organisation_id
            WHERE released_at IS NULL ORDER BY domains.name LIMIT ?
            """, pageSize
        ) { (try Domain($0), try $0.text("organisation_name")) }
    }

    /// The verified domains with a tunnel, for the edge.
    public static func routed(
        in database: Transaction
    ) throws -> [(domain: Domain, tunnelName: String, endsTLS: Bool)] {
        try database.across(.upkeep).rows(
            """
            SELECT domains.*, tunnels.name AS tunnel_name, tunnels.kind AS tunnel_kind FROM domains JOIN tunnels ON tunnels.id = domains.tunnel_id
            JOIN organisations ON organisations.id = domains.organisation_id
            WHERE domains.released_at IS NULL AND verified_at IS NOT NULL AND tunnels.released_at IS NULL
            AND tunnels.name IS NOT NULL AND organisations.delete_after IS NULL
            """
        ) { (try Domain($0), try $0.text("tunnel_name"), try $0.text("tunnel_kind") == TunnelKind.http.rawValue) }
    }

    /// The verified domains whose last check is before a time, the oldest check first.
    public static func due(before: Timestamp, limit: Int, in database: Transaction) throws -> [Domain] {
        try database.across(.upkeep).rows(
            """
            SELECT * FROM domains WHERE released_at IS NULL AND verified_at IS NOT NULL AND checked_at < ?
            ORDER BY checked_at LIMIT ?
            """, before, limit, decode: Domain.init)
    }

    /// Removes rows whose reservation is over.
    static func clearAway(now: Timestamp, in database: Transaction) throws {
        try database.across(.upkeep).run(
            "DELETE FROM domains WHERE released_at < ?", now.advanced(bySeconds: -reservedSeconds))
    }

    // MARK: Changing

    /// Stores the result of checking the proof.
    /// - Parameters:
    ///   - problem: nil where the proof is there.
    ///   - note: what else is wrong, if the proof is there.
    /// - Throws: ``Refusal`` `.domainTaken`; ``StorageError``.
    public func checked(
        problem: String?, note: String? = nil, now: Timestamp, in scope: TenantScope
    ) throws -> Domain {
        if problem == nil && verifiedAt == nil {
            try Self.checkFree(name, for: organisationId, now: now, in: scope.transaction)
            // An organisation that has lost its proof for a week loses the name to whoever proves it.
            try scope.transaction.across(.sharedNames).run(
                """
                UPDATE domains SET verified_at = NULL, missing_since = NULL, tunnel_id = NULL,
                problem = 'Another organisation has verified this name.'
                WHERE name = ? AND organisation_id <> ? AND verified_at IS NOT NULL AND released_at IS NULL
                """, name, organisationId)
        }
        let verified = problem == nil ? verifiedAt ?? now : verifiedAt
        let missing = problem == nil || verifiedAt == nil ? nil : missingSince ?? now
        try scope.run(
            """
            UPDATE domains SET checked_at = ?, problem = ?, verified_at = ?, missing_since = ?
            WHERE organisation_id = :organisation AND id = ?
            """, now, problem ?? note, verified, missing, id)
        return try Self.find(named: id, in: scope) ?? self
    }

    /// Stores that the name server gave no answer. It does not count as missing.
    public func unanswered(problem: String, now: Timestamp, in scope: TenantScope) throws {
        try scope.run(
            "UPDATE domains SET checked_at = ?, problem = ? WHERE organisation_id = :organisation AND id = ?", now,
            problem, id)
    }

    /// Stores of which end of the certificate the owners were told.
    public func alerted(_ level: Int, in scope: TenantScope) throws {
        try scope.run("UPDATE domains SET alerted = ? WHERE organisation_id = :organisation AND id = ?", level, id)
    }

    public func route(to tunnelId: String?, in scope: TenantScope) throws -> Domain {
        try scope.run("UPDATE domains SET tunnel_id = ? WHERE organisation_id = :organisation AND id = ?", tunnelId, id)
        return try Self.find(named: id, in: scope) ?? self
    }

    /// Removes the domain. The name stays reserved for the organisation if it was verified.
    public func remove(now: Timestamp, in scope: TenantScope) throws {
        // Whoever adds the name again decides anew who gets in.
        try StoredPolicy.set(.domain(id), nil, now: now, in: scope)
        // Decided by the row: it may have been verified after this value was read.
        try scope.run(
            "DELETE FROM domains WHERE organisation_id = :organisation AND id = ? AND verified_at IS NULL", id)
        try scope.run(
            """
            UPDATE domains SET released_at = ?, tunnel_id = NULL WHERE organisation_id = :organisation AND id = ?
            """, now, id)
    }
}

/// A host name that a certificate authority would take: at least two labels of letters, digits and hyphens, in lower case.
public struct DomainName: Sendable, Equatable {
    public let text: String

    /// - Parameter below: of the server's own, whose names are not people's: nil where there is none.
    /// - Throws: ``Refusal`` `.invalid` that names the mistake.
    public init(_ typed: String, notBelow own: [String]) throws(Refusal) {
        var text = typed.lowercased()
        if text.hasSuffix(".") { text.removeLast() }
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            throw Refusal(.invalid, "name: write the name alone, without \(scheme): app.example.org")
        }
        guard !text.hasPrefix("*.") else {
            throw Refusal(.invalid, "name: a wildcard cannot be added; add each name: app.example.org")
        }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count >= 2, text.utf8.count <= 253, labels.allSatisfy(Self.isLabel),
            labels.last?.first?.isLetter == true
        else {
            throw Refusal(
                .invalid,
                "name: '\(typed.prefix(64))' is not a host name; use a name like app.example.org (xn--… beyond ASCII).")
        }
        for domain in own where text == domain || text.hasSuffix(".\(domain)") {
            throw Refusal(.invalid, "name: \(text) belongs to this server; tunnels get such names without adding them.")
        }
        self.text = text
    }

    /// RFC 1123, section 2.1.
    private static func isLabel(_ label: Substring) -> Bool {
        guard (1...63).contains(label.utf8.count), !label.hasPrefix("-"), !label.hasSuffix("-") else { return false }
        return label.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
    }
}
