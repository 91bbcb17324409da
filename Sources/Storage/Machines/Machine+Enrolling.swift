public import Database
public import Model

extension Machine {
    /// The data that a machine sends when it is enrolled.
    public struct Enrolment: Sendable {
        /// Nil to use its host name.
        public var name: String?
        public var hostName: String
        /// SHA-256 of its public key, 64 hexadecimal digits.
        public var fingerprint: String
        public var allows: [MachineAllowance]
        public var software: String
        public var platform: String

        public init(
            name: String?, hostName: String, fingerprint: String, allows: [MachineAllowance], software: String,
            platform: String
        ) {
            self.name = name
            self.hostName = hostName
            self.fingerprint = fingerprint
            self.allows = allows
            self.software = software
            self.platform = platform
        }
    }

    /// The maximum length of each text that a machine sends about itself, in bytes.
    static let textLimit = 100

    /// Enrols a machine for its user. If the key is already enrolled there, updates the machine with the new data.
    /// - Throws: ``Refusal`` `.hostLimit`, `.enrolment`, `.nameTaken`, `.invalid`, and those of
    ///   ``Caller/member(of:may:whileDeleted:in:)``; ``StorageError``.
    public static func enrol(
        _ enrolment: Enrolment, by caller: Caller, now: Timestamp, in database: Transaction
    ) throws -> Machine {
        let member = try caller.member(may: .machineEnroll, in: database)
        // A token cannot grant more than it has.
        if enrolment.allows.contains(.tunnels) { _ = try caller.member(may: .tunnelCreate, in: database) }
        return try enrol(
            enrolment, for: member, allowance: caller.allowance(in: member.organisation, database),
            isStrong: caller.isStrong, actor: .init(caller), now: now, in: database)
    }

    /// - Parameter allowance: the limits of the person who enrols it.
    static func enrol(
        _ enrolment: Enrolment, for member: Member, allowance: Allowance, isStrong: Bool, actor: Audit.Actor,
        now: Timestamp, in database: Transaction
    ) throws -> Machine {
        let scope = database.tenant(member.organisation.id)
        scope.lock()
        if let name = enrolment.name { try checkName(name) }
        let known = try find(key: enrolment.fingerprint, in: database)
        if let known, known.organisationId != scope.organisationId {
            throw Refusal(
                .enrolment,
                "This key belongs to a machine of another organisation; 'postern machine enroll --new-key' creates a new one."
            )
        }
        if let known { try checkOwner(of: known, member, in: database) } else { try checkCount(in: scope) }
        try checkPlace(of: known?.id, for: member.user.id, allowance, now: now, in: database)
        let name = try freeName(enrolment, known, in: scope)
        let allows = text(MachineAllowance.allCases.filter(enrolment.allows.contains))
        let software = plain(enrolment.software)
        let platform = plain(enrolment.platform)
        let made: Machine?
        if let known {
            made = try scope.first(
                """
                UPDATE machines SET user_id = ?, name = ?, allows = ?, software = ?, platform = ?, is_strong = ?,
                    enrolled_at = ?, revoked_at = NULL, fingerprint = ?, next_fingerprint = NULL
                WHERE organisation_id = :organisation AND id = ? RETURNING *
                """, member.user.id, name, allows, software, platform, isStrong, now,
                enrolment.fingerprint, known.id, decode: Machine.init)
        } else {
            made = try scope.first(
                """
                INSERT INTO machines (id, organisation_id, user_id, name, fingerprint, allows, software, platform,
                    is_strong, enrolled_at) VALUES (?, :organisation, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *
                """, Identifier.make(now: now), member.user.id, name, enrolment.fingerprint, allows, software,
                platform, isStrong, now, decode: Machine.init)
        }
        guard let made else { throw StorageError(.failed, "the machine was not returned") }
        if known != nil {
            // Its tunnels now belong to the person who enrolled it, and an old revocation does not apply to this enrolment.
            try scope.run(
                "UPDATE tunnels SET user_id = ? WHERE organisation_id = :organisation AND machine_id = ?",
                member.user.id, made.id)
            try Revocation.takeBack(credential: made.id, in: database)
        }
        try Audit.record(.machineEnrolled, target: made.id, detail: made.name, actor: actor, now: now, in: scope)
        return made
    }

    /// The holder of a machine's key may enrol it again. Only its owner or an admin may change whose machine it is.
    private static func checkOwner(of known: Machine, _ member: Member, in database: Transaction) throws {
        guard known.revokedAt == nil, known.userId != member.user.id, !member.may(.machineManage),
            let owner = try known.userId.flatMap({ try User.find(id: $0, in: database) }), owner.disabledAt == nil,
            try Member.find(userId: owner.id, organisationId: known.organisationId, in: database) != nil
        else { return }
        throw Refusal(
            .enrolment,
            "\(known.name) is enrolled by \(owner.username); ask them to revoke it first, or run this with --new-key.")
    }

    private static func checkCount(in scope: TenantScope) throws {
        let count =
            try scope.first(
                "SELECT COUNT(*) AS found FROM machines WHERE organisation_id = :organisation AND revoked_at IS NULL"
            ) { try $0.integer("found") } ?? 0
        guard count < listLimit else {
            throw Refusal(
                .limit, "An organisation has at most \(listLimit) machines; revoke some first.", limit: listLimit,
                current: count)
        }
    }

    /// Makes the text safe to show and short: one character may have any number of bytes.
    static func plain(_ text: String, bytes: Int = textLimit) -> String {
        var short = VisibleText.escaped(text)
        while short.utf8.count > bytes { short.removeLast() }
        return short
    }

    /// The number of attempts to find a generated name.
    private static let nameTries = 1000

    private static func freeName(_ enrolment: Enrolment, _ known: Machine?, in scope: TenantScope) throws -> String {
        let wanted = enrolment.name ?? known?.name ?? plain(enrolment.hostName, bytes: 56)
        let base = wanted.isEmpty ? "machine" : wanted
        for number in 1...nameTries {
            let name = number == 1 ? base : "\(base)-\(number)"
            let taken = try find(named: name, in: scope)
            if taken == nil || taken?.id == known?.id { return name }
            if enrolment.name != nil { throw Refusal(.nameTaken, "Another machine is named \(name).") }
        }
        throw Refusal(.nameTaken, "\(nameTries) machines are already named \(base); choose a name with --name.")
    }
}

/// A short code that enrols one machine, once, for the person who created it. The database stores only its SHA-256.
public struct EnrolmentCode: Sendable, Equatable {
    /// The lifetime in seconds.
    public static let lifetimeSeconds: Int64 = 30 * 60
    /// The maximum number of unused codes of one person.
    private static let openLimit = 100

    public let id: String
    public let expiresAt: Timestamp

    /// - Returns: the code as people type it: 16 readable characters, 79 bits, in two halves.
    /// - Throws: ``Refusal`` `.limit` and those of ``Caller/member(of:may:whileDeleted:in:)``; ``StorageError``.
    public static func create(
        by caller: Caller, now: Timestamp, in database: Transaction
    ) throws -> (EnrolmentCode, secret: String) {
        let member = try caller.member(may: .machineEnroll, in: database)
        _ = try caller.member(may: .tunnelCreate, in: database)
        let scope = database.tenant(member.organisation.id)
        scope.lock()
        let open =
            try scope.first(
                """
                SELECT COUNT(*) AS found FROM enrolment_codes WHERE organisation_id = :organisation AND user_id = ?
                AND used_at IS NULL AND expires_at > ?
                """, caller.user.id, now
            ) { try $0.integer("found") } ?? 0
        guard open < openLimit else {
            throw Refusal(
                .limit, "You have \(openLimit) open codes; wait until some have expired.", limit: openLimit,
                current: open)
        }
        let secret = "\(RandomText.makeReadable(letters: 8))-\(RandomText.makeReadable(letters: 8))"
        let made = EnrolmentCode(
            id: Identifier.make(now: now), expiresAt: now.advanced(bySeconds: lifetimeSeconds))
        try scope.run(
            """
            INSERT INTO enrolment_codes (id, organisation_id, user_id, digest, is_strong, credential, created_at, expires_at)
            VALUES (?, :organisation, ?, ?, ?, ?, ?, ?)
            """, made.id, caller.user.id, Digest.of(secret), caller.isStrong, caller.credential.claim, now,
            made.expiresAt)
        try Audit.record(.machineInvited, target: made.id, by: caller, now: now, in: scope)
        return (made, secret)
    }

    /// Enrols a machine and uses the code, in one transaction. A refusal does not use the code.
    /// - Parameter address: the machine's address, for the audit log.
    /// - Throws: as ``Machine/enrol(_:by:now:in:)``.
    public static func enrol(
        _ enrolment: Machine.Enrolment, code: String, from address: String, now: Timestamp, in database: Transaction
    ) throws -> Machine {
        let found = try find(code, in: database)
        let used = try found.machineId.flatMap { try Machine.find(id: $0, in: database.tenant(found.organisationId)) }
        // The response was lost, and the machine asks again.
        if let used, used.fingerprint == enrolment.fingerprint, used.revokedAt == nil, found.expiresAt > now {
            return used
        }
        guard found.usedAt == nil else {
            throw Refusal(
                .enrolment,
                "This code was used at \(found.usedAt?.readable ?? ""), by \(used?.name ?? "a removed machine"). If that was not "
                    + "you, revoke that machine, and create another code: postern machine invite")
        }
        guard found.expiresAt > now else {
            throw Refusal(
                .enrolment,
                "This code expired at \(found.expiresAt.readable); create another one: postern machine invite")
        }
        guard let member = try Member.find(userId: found.userId, organisationId: found.organisationId, in: database),
            member.may(.machineEnroll), member.may(.tunnelCreate), member.organisation.deleteAfter == nil,
            try Caller.Credential(claim: found.credential)?.isGood(now: now, in: database) ?? true
        else { throw Refusal(.enrolment, "The creator of this code is no longer allowed to enrol machines.") }
        let actor = Audit.Actor(
            id: member.user.id, name: member.user.username, credential: "enrolment code \(found.id)", address: address)
        let machine = try Machine.enrol(
            enrolment, for: member,
            allowance: Allowance(
                plan: member.organisation.plan, limits: database.keysAndPlans.plans[member.organisation.plan]),
            isStrong: found.isStrong, actor: actor, now: now, in: database)
        try database.tenant(found.organisationId).run(
            "UPDATE enrolment_codes SET used_at = ?, machine_id = ? WHERE organisation_id = :organisation AND id = ?",
            now, machine.id, found.id)
        return machine
    }

    /// The code and the organisation for a text, for the audit log of a refusal.
    public static func known(_ code: String, in database: Transaction) throws -> (id: String, organisationId: String)? {
        (try? find(code, in: database)).map { ($0.id, $0.organisationId) }
    }

    private struct Found {
        let id, organisationId, userId: String
        let isStrong: Bool
        /// The credential that created it, as an access token names it. Empty for the command line.
        let credential: String
        let expiresAt: Timestamp
        let usedAt: Timestamp?
        let machineId: String?
    }

    private static func find(_ code: String, in database: Transaction) throws -> Found {
        // People may type capitals and spaces. Words after the second hyphen are used only by the two machines.
        let letters = code.lowercased().filter { !$0.isWhitespace }
        let secret = letters.split(separator: "-").prefix(2).joined(separator: "-")
        let found = try database.across(.secretLeadsToTenant).first(
            "SELECT * FROM enrolment_codes WHERE digest = ?", Digest.of(secret)
        ) { row in
            Found(
                id: try row.text("id"), organisationId: try row.text("organisation_id"),
                userId: try row.text("user_id"), isStrong: try row.flag("is_strong"),
                credential: try row.text("credential"),
                expiresAt: try row.time("expires_at"), usedAt: try row.optionalTime("used_at"),
                machineId: try row.optionalText("machine_id"))
        }
        guard let found else {
            throw Refusal(
                .enrolment,
                "There is no such code; check the spelling, or create another one: postern machine invite")
        }
        return found
    }
}
