public import Database
public import Model

/// Owns share sessions, roles, API tokens and an audit log. Each account has a personal organisation; people can create shared ones.
public struct Organisation: Sendable, Equatable {
    /// How long a deleted organisation can be restored, in seconds: long enough to notice a mistake.
    public static let graceSeconds: Int64 = 30 * 86_400
    /// The maximum number of organisations of one person: far above what anybody needs, but it limits what one account can store.
    static let perPerson = 100

    public let id: String
    public let name: String
    /// Its unique short name, for addresses and commands.
    public let slug: String
    /// The account whose personal organisation it is. Nil for a shared one.
    public let personalOf: String?
    public let plan: Plan
    /// Whether members must sign in with a second factor to see anything of it.
    public let requiresSecondFactor: Bool
    /// Whether members sign on with the organisation's own issuer (``SingleSignOn``).
    public let requiresSingleSignOn: Bool
    /// Whether its share sessions accept guests without an account, if the plan allows it.
    public let takesGuestsWithoutAccount: Bool
    public let createdAt: Timestamp
    /// When it will be removed permanently. Nil if it is not deleted.
    public let deleteAfter: Timestamp?

    init(_ row: Row) throws {
        id = try row.text("id")
        name = try row.text("name")
        slug = try row.text("slug")
        personalOf = try row.optionalText("personal_of")
        plan = try row.word("plan")
        requiresSecondFactor = try row.flag("requires_second_factor")
        requiresSingleSignOn = try row.flag("requires_single_sign_on")
        takesGuestsWithoutAccount = try row.flag("guests_without_account")
        createdAt = try row.time("created_at")
        deleteAfter = try row.optionalTime("delete_after")
    }

    public static func find(id: String, in database: Transaction) throws -> Organisation? {
        try database.first("SELECT * FROM organisations WHERE id = ?", id, decode: Organisation.init)
    }

    /// Creates an account's own organisation, with the account's id.
    static func createPersonal(
        of user: User, plan: Plan, now: Timestamp, in database: Transaction
    ) throws {
        try database.run(
            "INSERT INTO organisations (id, name, slug, personal_of, plan, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            user.id, user.username, try OrganisationSlug.free(for: user.username, in: database), user.id,
            plan.rawValue, now)
        try Member.add(userId: user.id, role: .owner, now: now, in: database.tenant(user.id))
    }

    /// Creates a shared organisation, with its creator as owner.
    /// - Throws: ``Refusal`` `.invalid`, `.limit`; ``StorageError``.
    public static func create(
        name: String, owner: User, now: Timestamp, in database: Transaction
    ) throws -> Organisation {
        let name = try checked(name)
        database.lock(.account(owner.id))
        let count = try Member.organisations(of: owner.id, in: database).count
        guard count < perPerson else {
            throw Refusal(
                .limit, "One account has at most \(perPerson) organisations; leave one first.", limit: perPerson,
                current: count)
        }
        // A person whose plan was lowered cannot avoid that with a new organisation.
        let own = try owner.personalOrganisation(in: database).plan
        let plan = min(own, database.keysAndPlans.plans.standard)
        let made = try database.first(
            "INSERT INTO organisations (id, name, slug, plan, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *",
            Identifier.make(now: now), name, try OrganisationSlug.free(for: name, in: database), plan.rawValue, now,
            decode: Organisation.init)
        guard let made else { throw StorageError(.failed, "the new organisation was not returned") }
        try Member.add(userId: owner.id, role: .owner, now: now, in: database.tenant(made.id))
        return made
    }

    /// The properties of an organisation that a member may change. Nil leaves a property unchanged.
    public struct Change: Sendable {
        public var name: String?
        public var slug: String?
        public var requiresSecondFactor: Bool?
        public var takesGuestsWithoutAccount: Bool?

        public init(
            name: String? = nil, slug: String? = nil, requiresSecondFactor: Bool? = nil,
            takesGuestsWithoutAccount: Bool? = nil
        ) {
            self.slug = slug
            self.name = name
            self.requiresSecondFactor = requiresSecondFactor
            self.takesGuestsWithoutAccount = takesGuestsWithoutAccount
        }
    }

    /// - Throws: ``Refusal`` `.invalid`; ``StorageError``.
    public func change(_ change: Change, in database: Transaction) throws -> Organisation {
        if let slug = change.slug, slug != self.slug { try OrganisationSlug.check(slug, in: database) }
        try database.run(
            "UPDATE organisations SET name = ?, slug = ?, requires_second_factor = ?, guests_without_account = ? WHERE id = ?",
            try change.name.map(Self.checked) ?? name, change.slug ?? slug,
            change.requiresSecondFactor ?? requiresSecondFactor,
            change.takesGuestsWithoutAccount ?? takesGuestsWithoutAccount, id)
        return try Self.find(id: id, in: database) ?? self
    }

    /// Changes the plan and records that in the organisation's audit log and in the server's own.
    public func setPlan(
        _ plan: Plan, by actor: Audit.Actor, now: Timestamp, in database: Transaction
    ) throws {
        try database.run("UPDATE organisations SET plan = ? WHERE id = ?", plan.rawValue, id)
        for log in [id, Audit.appliance] {
            try Audit.record(
                .planSet, target: name, detail: "\(self.plan.rawValue) to \(plan.rawValue)", actor: actor, now: now,
                in: database.tenant(log))
        }
    }

    /// Deletes the organisation. It can be restored for ``graceSeconds``.
    /// - Throws: ``Refusal`` `.invalid` for a personal one; ``StorageError``.
    public func delete(now: Timestamp, in database: Transaction) throws -> Timestamp {
        guard personalOf == nil else {
            throw Refusal(
                .notPossible, "This is your personal organisation; it is deleted when the account is removed.")
        }
        let end = deleteAfter ?? now.advanced(bySeconds: Self.graceSeconds)
        try database.run("UPDATE organisations SET delete_after = ? WHERE id = ?", end, id)
        return end
    }

    public func restore(in database: Transaction) throws {
        try database.run("UPDATE organisations SET delete_after = NULL WHERE id = ?", id)
    }

    /// Removes organisations whose grace period has ended, with everything they owned. Their audit logs and usage are
    /// kept: they are append-only. Returns the names.
    public static func purge(now: Timestamp, in database: Transaction) throws -> [String] {
        let due = try database.rows("SELECT id FROM organisations WHERE delete_after <= ?", now) { try $0.text("id") }
        for id in due {
            // People continue in their own organisation. Connections that were admitted by the organisation's tokens end.
            try database.run("UPDATE sign_ins SET organisation_id = user_id WHERE organisation_id = ?", id)
            let tokens = try database.rows(
                "SELECT id FROM api_tokens WHERE organisation_id = ? AND revoked_at IS NULL", id
            ) { try $0.text("id") }
            for token in tokens { try Revocation.add(.credential(token), now: now, in: database) }
        }
        let gone = try database.rows(
            "DELETE FROM organisations WHERE delete_after <= ? RETURNING id, name", now
        ) { (try $0.text("id"), try $0.text("name")) }
        for (id, _) in gone {
            try database.tenant(id).run("DELETE FROM data_keys WHERE organisation_id = :organisation")
        }
        for (id, name) in gone {
            try Audit.record(
                .organisationPurged, target: id, detail: name, actor: .server, now: now,
                in: database.tenant(Audit.appliance))
        }
        return gone.map(\.1)
    }

    /// All organisations of the appliance, by name.
    /// - Parameter after: the last name and id of the previous page, or empty.
    public static func list(
        after: (name: String, id: String), limit: Int, in database: Transaction
    ) throws -> [Organisation] {
        try database.rows(
            "SELECT * FROM organisations WHERE (name, id) > (?, ?) ORDER BY name, id LIMIT ?", after.name, after.id,
            limit, decode: Organisation.init)
    }

    /// Finds an organisation by id or by name, for the command line.
    /// - Throws: ``Refusal`` `.notFound`, `.invalid` if several have the name.
    public static func named(_ word: String, in database: Transaction) throws -> Organisation {
        if let found = try find(id: word, in: database) { return found }
        let found = try database.rows(
            "SELECT * FROM organisations WHERE name = ? ORDER BY created_at LIMIT 2", word, decode: Organisation.init)
        guard let first = found.first else {
            throw Refusal(.notFound, "There is no organisation '\(word)'; 'postern organisation list' shows all.")
        }
        guard found.count == 1 else {
            throw Refusal(
                .invalid,
                "Several organisations are named '\(word)'; use the id that 'postern organisation list' shows.")
        }
        return first
    }

    private static func checked(_ name: String) throws -> String {
        try NameRule.check(name, "An organisation's name")
        return name
    }
}
