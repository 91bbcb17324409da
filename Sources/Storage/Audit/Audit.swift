import Crypto
public import Database
public import Model

/// The append-only log of one organisation, or of the appliance: each event's digest covers the one before it.
///
/// The digest is SHA-256 over the previous digest and every field with its length. The newest digest is signed with the
/// audit key, in the transaction that appends. The key is not in the database. An attacker who can write to the
/// database but does not have the key cannot change, remove, reorder or insert an event undetected, including the
/// newest one. A head without a valid signature is never replaced by a signed one: the log stays visibly broken.
///
/// The appliance's own log holds an anchor for each organisation's log: its number and digest, from its first event on
/// and then every hour. A log that was removed completely, or cut back to an older signed head, does not match its
/// anchors.
public enum Audit {
    /// The log of events that belong to no organisation.
    public static let appliance = Vault.appliance
    /// The number of events on a page.
    public static let pageSize = 100
    /// The maximum length of a free text in an event, in Unicode scalars.
    private static let textLimit = 200

    public struct Event: Sendable, Equatable {
        public let number: Int
        public let at: Timestamp
        public let actorId, actorName, action, target, address, credential, result, detail: String
        /// The program's name for itself. Its user may have chosen the text. Empty if the event was not caused over HTTP.
        public let userAgent: String
        public let digest: [UInt8]

        init(_ row: Row) throws {
            number = try row.integer("number")
            at = try row.time("at")
            actorId = try row.text("actor_id")
            actorName = try row.text("actor_name")
            action = try row.text("action")
            target = try row.text("target")
            address = try row.text("address")
            credential = try row.text("credential")
            result = try row.text("result")
            detail = try row.text("detail")
            userAgent = try row.text("user_agent")
            digest = try row.blob("digest")
        }

        fileprivate init(
            number: Int, at: Timestamp, actor: Actor, action: AuditAction, target: String, result: AuditResult,
            detail: String, organisationId: String, previous: [UInt8]
        ) {
            self.number = number
            self.at = at
            actorId = actor.id
            actorName = Self.bounded(actor.name)
            self.action = action.rawValue
            self.target = Self.bounded(target)
            address = actor.address
            credential = actor.credential
            self.result = result.rawValue
            self.detail = Self.bounded(detail)
            userAgent = Self.bounded(actor.userAgent)
            digest = Self.digest(
                previous, organisationId, number, at,
                [actorId, actorName, self.action, self.target, address, credential, self.result, self.detail],
                userAgent)
        }

        /// Limits the number of scalars: one character may be a letter with thousands of combining marks.
        private static func bounded(_ text: String) -> String {
            String(String.UnicodeScalarView(text.unicodeScalars.prefix(textLimit)))
        }

        /// The digest this event must have if `previous` is the digest of the event before it.
        func expectedDigest(after previous: [UInt8], organisationId: String) -> [UInt8] {
            Self.digest(
                previous, organisationId, number, at,
                [actorId, actorName, action, target, address, credential, result, detail], userAgent)
        }

        private static func digest(
            _ previous: [UInt8], _ organisationId: String, _ number: Int, _ at: Timestamp, _ fields: [String],
            _ userAgent: String
        ) -> [UInt8] {
            // Events from before 0.4.0 have none, and their digests stay valid.
            let fields = userAgent.isEmpty ? fields : fields + [userAgent]
            var hash = SHA256()
            hash.update(data: previous)
            for field in [organisationId, String(number), String(at.milliseconds)] + fields {
                // Hashed with its length: no two lists of fields give the same bytes.
                withUnsafeBytes(of: UInt32(field.utf8.count).bigEndian) { hash.update(bufferPointer: $0) }
                hash.update(data: Array(field.utf8))
            }
            return Array(hash.finalize())
        }
    }

    /// Who caused an event, also if nobody is signed in.
    public struct Actor: Sendable {
        public let id, name, credential, address, userAgent: String

        public init(id: String, name: String, credential: String, address: String, userAgent: String = "") {
            self.userAgent = userAgent
            self.id = id
            self.name = name
            self.credential = credential
            self.address = address
        }

        /// Actions of the server itself.
        public static let server = Actor(id: "", name: "server", credential: "none", address: "local")

        /// A guest of a share session that has no account.
        public static func guestWithoutAccount(address: String) -> Actor {
            Actor(id: "", name: "a guest without an account", credential: "none", address: address)
        }

        /// The owner of the machine.
        public static let command = Actor(id: "", name: "root", credential: "command line", address: "local")
    }

    // MARK: Writing

    public static func record(
        _ action: AuditAction, target: String, detail: String = "", result: AuditResult = .done, actor: Actor,
        now: Timestamp, in scope: TenantScope
    ) throws {
        // Event numbers are consecutive.
        scope.lock()
        let (head, last) = (try head(in: scope), try newest(in: scope))
        // If the chain was manipulated, the next event must not make it valid again.
        let mayBeSigned = try isWhole(head, last, in: scope)
        let event = Event(
            number: max(head?.number ?? 0, last?.number ?? 0) + 1, at: now, actor: actor, action: action,
            target: target, result: result, detail: detail, organisationId: scope.organisationId,
            previous: last?.digest ?? [])
        try scope.run(
            """
            INSERT INTO audit_events (organisation_id, number, at, actor_id, actor_name, action, target, address,
                credential, result, detail, digest, user_agent)
            VALUES (:organisation, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, event.number, event.at, event.actorId, event.actorName, event.action, event.target, event.address,
            event.credential, event.result, event.detail, event.digest, event.userAgent)
        let signature =
            mayBeSigned ? try Head.sign(event, scope.organisationId, scope.transaction.keysAndPlans.keyring()) : []
        try scope.run(
            """
            INSERT INTO audit_chains (organisation_id, number, digest, at, signature) VALUES (:organisation, ?, ?, ?, ?)
            ON CONFLICT (organisation_id) DO UPDATE
            SET number = excluded.number, digest = excluded.digest, at = excluded.at, signature = excluded.signature
            """, event.number, event.digest, event.at, signature)
        if event.number == 1 && scope.organisationId != appliance {
            try anchor(scope.organisationId, number: 1, digest: event.digest, now: now, in: scope.transaction)
        }
    }

    private static func newest(in scope: TenantScope) throws -> Event? {
        try scope.first(
            "SELECT * FROM audit_events WHERE organisation_id = :organisation ORDER BY number DESC LIMIT 1",
            decode: Event.init)
    }

    /// Whether the chain ends with its signed head, or has no events yet.
    private static func isWhole(_ head: Head?, _ last: Event?, in scope: TenantScope) throws -> Bool {
        guard let head else {
            return try last == nil && newestAnchor(of: scope.organisationId, in: scope.transaction) == 0
        }
        return head.isSigned(scope.organisationId, try scope.transaction.keysAndPlans.keyring())
            && last?.number == head.number && last?.digest == head.digest
    }

    // MARK: Anchors

    private static func anchor(
        _ organisationId: String, number: Int, digest: [UInt8], now: Timestamp, in database: Transaction
    ) throws {
        try record(
            .auditAnchored, target: organisationId, detail: "\(number) \(Hexadecimal.text(digest))", actor: .server,
            now: now, in: database.tenant(appliance))
    }

    /// Writes the heads of all logs that have grown to the appliance's own log.
    public static func anchorAll(now: Timestamp, in database: Transaction) throws {
        let heads = try database.across(.upkeep).rows("SELECT organisation_id, number, digest FROM audit_chains") {
            (try $0.text("organisation_id"), try $0.integer("number"), try $0.blob("digest"))
        }
        for (id, number, digest) in heads where id != appliance {
            if try number > newestAnchor(of: id, in: database) {
                try anchor(id, number: number, digest: digest, now: now, in: database)
            }
        }
    }

    /// The last anchored number, or 0.
    private static func newestAnchor(of organisationId: String, in database: Transaction) throws -> Int {
        let detail = try database.tenant(appliance).first(
            """
            SELECT detail FROM audit_events WHERE organisation_id = :organisation AND action = 'audit.anchored'
            AND target = ? ORDER BY number DESC LIMIT 1
            """, organisationId
        ) { try $0.text("detail") }
        return detail?.split(separator: " ").first.flatMap { Int($0) } ?? 0
    }

    static func anchors(
        of organisationId: String, in database: Transaction
    ) throws -> [(number: Int, digest: String)] {
        let details = try database.tenant(appliance).rows(
            """
            SELECT detail FROM audit_events WHERE organisation_id = :organisation AND action = 'audit.anchored'
            AND target = ? ORDER BY number
            """, organisationId
        ) { try $0.text("detail") }
        return details.compactMap { detail in
            let parts = detail.split(separator: " ")
            guard parts.count == 2, let number = Int(parts[0]) else { return nil }
            return (number, String(parts[1]))
        }
    }

    // MARK: Reading

    /// The search conditions. Nil matches everything.
    public struct Filter: Sendable {
        public var actor: String?
        /// A complete action, or its first word: `member`.
        public var action: String?
        /// The object of the action: an id or a name.
        public var target: String?
        public var result: String?
        /// Only events with a lower number: the next page.
        public var before: Int?

        public init(
            actor: String? = nil, action: String? = nil, target: String? = nil, result: String? = nil,
            before: Int? = nil
        ) {
            self.target = target
            self.actor = actor
            self.action = action
            self.result = result
            self.before = before
        }
    }

    /// Newest first.
    public static func list(
        _ filter: Filter = Filter(), limit: Int = pageSize, in scope: TenantScope
    ) throws -> [Event] {
        try scope.rows(
            """
            SELECT * FROM audit_events WHERE organisation_id = :organisation
            AND (? IS NULL OR number < ?) AND (? IS NULL OR actor_name = ?) AND (? IS NULL OR result = ?)
            AND (? IS NULL OR target = ?)
            AND (? IS NULL OR action = ? OR substr(action, 1, instr(action, '.') - 1) = ?)
            ORDER BY number DESC LIMIT ?
            """, filter.before, filter.before, filter.actor, filter.actor, filter.result, filter.result, filter.target,
            filter.target, filter.action, filter.action, filter.action, limit, decode: Event.init)
    }

    /// The newest event according to the chain, with its signature.
    public struct Head: Sendable {
        public let number: Int
        public let digest: [UInt8]
        public let at: Timestamp
        let signature: [UInt8]

        fileprivate static func sign(_ event: Event, _ organisationId: String, _ keys: Keyring) throws -> [UInt8] {
            guard
                let signature = try? keys.audit.signature(
                    for: Self.text(organisationId, event.number, event.digest, event.at))
            else { throw StorageError(.failed, "the audit log cannot be signed") }
            return Array(signature)
        }

        func isSigned(_ organisationId: String, _ keys: Keyring) -> Bool {
            keys.audit.publicKey.isValidSignature(signature, for: Self.text(organisationId, number, digest, at))
        }

        private static func text(
            _ organisationId: String, _ number: Int, _ digest: [UInt8], _ at: Timestamp
        ) -> [UInt8] {
            Array(
                "postern audit head\n\(organisationId)\n\(number)\n\(Hexadecimal.text(digest))\n\(at.milliseconds)".utf8
            )
        }
    }

    public static func head(in scope: TenantScope) throws -> Head? {
        try scope.first("SELECT * FROM audit_chains WHERE organisation_id = :organisation", decode: Head.init)
    }

    /// The newest signed heads.
    static func heads(
        atMost count: Int, in database: Transaction
    ) throws -> [(organisationId: String, head: Head)] {
        try database.across(.upkeep).rows("SELECT * FROM audit_chains ORDER BY at DESC LIMIT ?", count) {
            (try $0.text("organisation_id"), try Head($0))
        }
    }
}

extension Audit.Head {
    fileprivate init(_ row: Row) throws {
        self.init(
            number: try row.integer("number"), digest: try row.blob("digest"), at: try row.time("at"),
            signature: try row.blob("signature"))
    }
}
