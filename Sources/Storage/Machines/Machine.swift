public import Database
public import Model

/// A computer that connects to this server with its own key, for an organisation. The edge knows whether its link is open.
public struct Machine: Sendable, Equatable {
    /// The maximum number of an organisation's machines on one page.
    static let listLimit = 1000

    public let id: String
    public let organisationId: String
    /// The person who enrolled it and for whom it acts. Nil if the account no longer exists.
    public let userId: String?
    public let name: String
    /// SHA-256 of its public key, 64 hexadecimal digits.
    public let fingerprint: String
    /// The fingerprint of the key that replaces the current one as soon as it is used. Nil if there is none.
    public let nextFingerprint: String?
    public let allows: [MachineAllowance]
    /// Name and version of the program on the machine, as reported by the machine.
    public let software: String
    /// Operating system and architecture, as reported by the machine.
    public let platform: String
    /// Whether the person who enrolled it had used a second factor.
    let isStrong: Bool
    public let enrolledAt: Timestamp
    /// When its link was last open. Nil if it never was.
    public let seenAt: Timestamp?
    public let seenFrom: String?
    /// Since when it counts towards the plan's machines.
    let placedAt: Timestamp?
    public let revokedAt: Timestamp?

    init(_ row: Row) throws {
        id = try row.text("id")
        organisationId = try row.text("organisation_id")
        userId = try row.optionalText("user_id")
        name = try row.text("name")
        fingerprint = try row.text("fingerprint")
        nextFingerprint = try row.optionalText("next_fingerprint")
        // Words of a newer version allow nothing in this version.
        allows = try row.text("allows").split(separator: " ").compactMap { MachineAllowance(rawValue: String($0)) }
        software = try row.text("software")
        platform = try row.text("platform")
        isStrong = try row.flag("is_strong")
        enrolledAt = try row.time("enrolled_at")
        seenAt = try row.optionalTime("seen_at")
        seenFrom = try row.optionalText("seen_from")
        placedAt = try row.optionalTime("placed_at")
        revokedAt = try row.optionalTime("revoked_at")
    }

    static func text(_ allows: [MachineAllowance]) -> String { allows.map(\.rawValue).joined(separator: " ") }

    // MARK: Looking

    /// Finds a machine by its id, revoked or not.
    public static func find(id: String, in scope: TenantScope) throws -> Machine? {
        try scope.first(
            "SELECT * FROM machines WHERE organisation_id = :organisation AND id = ?", id, decode: Machine.init)
    }

    /// Finds a machine that is not revoked, by its id or its name.
    public static func find(named text: String, in scope: TenantScope) throws -> Machine? {
        try scope.first(
            """
            SELECT * FROM machines WHERE organisation_id = :organisation AND revoked_at IS NULL AND (id = ? OR name = ?)
            ORDER BY id = ? DESC LIMIT 1
            """, text, text, text, decode: Machine.init)
    }

    /// The machines that are not revoked, by name.
    /// - Parameter userId: nil for everybody's.
    public static func list(enrolledBy userId: String?, in scope: TenantScope) throws -> [Machine] {
        try scope.rows(
            """
            SELECT * FROM machines WHERE organisation_id = :organisation AND revoked_at IS NULL
            AND (user_id = ? OR ? IS NULL) ORDER BY name LIMIT ?
            """, userId, userId, listLimit, decode: Machine.init)
    }

    /// All machines that an organisation ever had, oldest first.
    /// - Parameter after: the last id of the previous page, or empty.
    public static func history(after: String, in scope: TenantScope) throws -> [Machine] {
        try scope.rows(
            "SELECT * FROM machines WHERE organisation_id = :organisation AND id > ? ORDER BY id LIMIT ?", after,
            listLimit, decode: Machine.init)
    }

    /// The machine with this key, for the audit log of a refusal.
    public static func known(key fingerprint: String, in database: Transaction) throws -> Machine? {
        try find(key: fingerprint, in: database)
    }

    /// The machine with this key, revoked or not.
    static func find(key fingerprint: String, in database: Transaction) throws -> Machine? {
        try database.across(.secretLeadsToTenant).first(
            "SELECT * FROM machines WHERE fingerprint = ? OR next_fingerprint = ?", fingerprint, fingerprint,
            decode: Machine.init)
    }

    // MARK: Changing

    /// - Throws: ``Refusal`` `.invalid`, `.nameTaken`; ``StorageError``.
    public static func rename(id: String, to name: String, in scope: TenantScope) throws {
        try checkName(name)
        let taken = try scope.first(
            """
            SELECT 1 AS found FROM machines WHERE organisation_id = :organisation AND name = ? AND id <> ?
            AND revoked_at IS NULL
            """, name, id
        ) { try $0.integer("found") }
        guard taken == nil else { throw Refusal(.nameTaken, "Another machine is named \(name).") }
        try scope.run("UPDATE machines SET name = ? WHERE organisation_id = :organisation AND id = ?", name, id)
    }

    static func checkName(_ name: String) throws { try NameRule.check(name, "A machine's name") }

    /// Revokes the machine: it is no longer admitted. Its tunnels stay with the organisation, and nothing serves them.
    /// - Returns: false if it was already revoked.
    @discardableResult
    public static func revoke(id: String, now: Timestamp, in scope: TenantScope) throws -> Bool {
        let count = try scope.run(
            """
            UPDATE machines SET revoked_at = ?, placed_at = NULL, lost_at = NULL, next_fingerprint = NULL
            WHERE organisation_id = :organisation AND id = ? AND revoked_at IS NULL
            """, now, id)
        guard count > 0 else { return false }
        // For a link that another process serves.
        try Revocation.add(.credential(id), now: now, in: scope.transaction)
        return true
    }

    /// Announces a new key, which replaces the current key when it is used for the first time. Until then both are
    /// valid, so that a lost response does not lock the machine out.
    /// - Throws: ``Refusal`` `.enrolment`; ``StorageError``.
    public static func announceKey(_ fingerprint: String, id: String, in scope: TenantScope) throws {
        if let known = try find(key: fingerprint, in: scope.transaction),
            known.id != id || known.fingerprint == fingerprint
        {
            throw Refusal(.enrolment, "This key is already enrolled; create another one.")
        }
        try scope.run(
            "UPDATE machines SET next_fingerprint = ? WHERE organisation_id = :organisation AND id = ?", fingerprint, id
        )
    }

    /// The links of these machines are open now, and they have their places, whatever was stored before.
    public static func markSeen(_ ids: [String], now: Timestamp, in database: Transaction) throws {
        for id in ids {
            try database.across(.upkeep).run(
                """
                UPDATE machines SET seen_at = ?, lost_at = NULL, placed_at = COALESCE(placed_at, ?)
                WHERE id = ? AND revoked_at IS NULL
                """, now, now, id)
        }
    }
}
