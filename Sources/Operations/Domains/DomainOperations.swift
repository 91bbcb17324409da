public import Database
import Limits
public import Model
import NIOCore
public import Storage
import Synchronization
public import Tunnels

/// Looks up a domain's DNS records.
public protocol DomainLookup: Sendable {
    /// Looks up the TXT record.
    func proof(_ proof: String, at name: String) async -> DomainProof
    /// What prevents visits or a certificate, one sentence each.
    func problems(of name: String) async -> [String]
}

/// The result of looking up a domain's proof.
public enum DomainProof: Sendable, Equatable {
    case found
    /// What is wrong, and what to do.
    case missing(String)
    /// The name server did not answer, or only with an error. The domain is not to blame.
    case unknown(String)
}

/// Orders certificates for verified names.
public protocol DomainCertificateOrders: Sendable {
    /// Serves a certificate for each of these names and no others, and orders missing ones.
    /// - Parameter generation: grows with each change. A call with an older one is ignored.
    func want(_ names: [String], generation: Int)
    /// The state of a name's certificate. Nil if none is wanted.
    func status(of name: String) -> DomainCertificate?
    /// All names with a wanted certificate, by the state.
    func counts() -> [String: Int]
}

/// The state of a domain's certificate.
public struct DomainCertificate: Sendable, Equatable {
    /// `issued`, `ordering`, `failed` or `none`.
    public let state: String
    /// Epoch seconds.
    public let notAfter: Int?
    public let problem: String?
    /// How near its end it is: 0 far, 1 a quarter of its lifetime is left, 2 a tenth.
    public let urgency: Int

    public init(state: String, notAfter: Int? = nil, problem: String? = nil, urgency: Int = 0) {
        self.urgency = urgency
        self.state = state
        self.notAfter = notAfter
        self.problem = problem
    }
}

/// The domains of an organisation, as its members use them.
public struct DomainOperations: Sendable {
    /// Between two looks at a proof, in milliseconds: a day.
    private static let recheck: Int64 = 86_400_000
    /// Proofs that one round of the upkeep looks up.
    private static let perRound = 20

    private let database: Database
    private let server: TunnelServer
    private let lookup: (any DomainLookup)?
    private let certificates: (any DomainCertificateOrders)?
    private let mail: AccountMail?
    /// Limits the DNS checks that an organisation starts.
    private let asked = AttemptLimiter(Self.looks, per: .minutes(1))
    private static let looks = 20
    private let generations = GenerationCounter()

    /// - Parameters:
    ///   - lookup: nil if the server cannot look names up. Then no domain can be verified.
    ///   - certificates: nil where the server ends no TLS.
    public init(
        database: Database, server: TunnelServer, lookup: (any DomainLookup)?,
        certificates: (any DomainCertificateOrders)?, mail: AccountMail? = nil
    ) {
        self.mail = mail
        self.database = database
        self.server = server
        self.lookup = lookup
        self.certificates = certificates
    }

    /// A domain with its tunnel and the state of its certificate.
    public struct Listed: Sendable {
        public let domain: Domain
        /// The tunnel that it points to.
        public let tunnel: Tunnel?
        public let certificate: DomainCertificate?
    }

    // MARK: Looking

    /// - Throws: ``Refusal``; ``StorageError``.
    public func list(by caller: Caller) async throws -> [Listed] {
        try await database.read { database in
            let member = try caller.member(may: .domainRead, in: database)
            let scope = database.tenant(member.organisation.id)
            return try Domain.list(in: scope).map { try listed($0, in: scope) }
        }
    }

    /// - Parameter named: its name or its id.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func show(_ named: String, by caller: Caller) async throws -> Listed {
        try await database.read { database in
            let (domain, scope) = try Self.find(named, .domainRead, by: caller, in: database)
            return try listed(domain, in: scope)
        }
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func listEverywhere(by caller: Caller) async throws -> [(listed: Listed, organisation: String)] {
        try caller.requireAdministrator()
        return try await database.read { database in
            try Domain.listEverywhere(in: database).map { domain, organisation in
                (try listed(domain, in: database.tenant(domain.organisationId)), organisation)
            }
        }
    }

    private func listed(_ domain: Domain, in scope: TenantScope) throws -> Listed {
        Listed(
            domain: domain, tunnel: try domain.tunnelId.flatMap { try Tunnel.find(named: $0, in: scope) },
            certificate: certificates?.status(of: domain.name))
    }

    private static func find(
        _ named: String, _ key: PermissionKey, by caller: Caller, in database: Transaction
    ) throws -> (Domain, TenantScope) {
        let member = try caller.member(may: key, in: database)
        let scope = database.tenant(member.organisation.id)
        guard let found = try Domain.find(named: named, in: scope) else {
            throw Refusal(.notFound, "There is no domain \(named.prefix(64)).")
        }
        return (found, scope)
    }

    // MARK: Changing

    /// Adds a name; the same again changes nothing.
    /// - Parameter own: names that are the server's.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func add(_ name: String, own: [String], by caller: Caller) async throws -> Listed {
        let name = try DomainName(name, notBelow: own + (server.configuration.domain.map { [$0] } ?? []))
        return try await database.write { database in
            let (domain, isNew) = try Domain.add(name, by: caller, now: .now(), in: database)
            let scope = database.tenant(domain.organisationId)
            if isNew { try Audit.record(.domainAdded, target: domain.name, by: caller, now: .now(), in: scope) }
            return try listed(domain, in: scope)
        }
    }

    /// Looks up the proof, and what else prevents visits or a certificate.
    /// - Returns: the domain as it is now, and a sentence for each thing that is left to do.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func verify(_ named: String, by caller: Caller) async throws -> (Listed, problems: [String]) {
        let (domain, _) = try await database.read { database in
            let (domain, scope) = try Self.find(named, .domainManage, by: caller, in: database)
            return (domain, scope.organisationId)
        }
        if case .wait(let seconds, _) = asked.begin(domain.organisationId) {
            throw Refusal.rateLimited(retryAfter: seconds)
        }
        guard let lookup else {
            throw Refusal(.notPossible, "This server cannot look up names in DNS; ask its owner.")
        }
        let proof: String?
        switch await lookup.proof(domain.proof, at: domain.proofName) {
        case .found: proof = nil
        case .missing(let problem): proof = problem
        case .unknown(let problem):
            throw Refusal(.lookupFailed, "\(domain.proofName): \(problem); try again in a minute.")
        }
        let others = await lookup.problems(of: domain.name)
        let checked = try await database.write { database in
            let (domain, scope) = try Self.find(named, .domainManage, by: caller, in: database)
            let checked = try domain.checked(problem: proof, now: .now(), in: scope)
            if checked.verifiedAt != nil && domain.verifiedAt == nil {
                try Audit.record(.domainVerified, target: checked.name, by: caller, now: .now(), in: scope)
            }
            return try listed(checked, in: scope)
        }
        try await load()
        return (checked, (proof.map { [$0] } ?? []) + others)
    }

    /// Points a verified domain at a tunnel.
    /// - Parameters:
    ///   - tunnel: its name, its port or its id; nil for nowhere.
    ///   - passesThrough: whether the machine ends TLS; nil for whatever the tunnel's kind is.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func route(
        _ named: String, to tunnel: String?, passesThrough: Bool?, by caller: Caller
    ) async throws -> Listed {
        let routed = try await database.write { database in
            let (domain, scope) = try Self.find(named, .domainManage, by: caller, in: database)
            guard domain.verifiedAt != nil else {
                throw Refusal(
                    .domainUnverified, "\(domain.name) is not verified yet; run 'postern domain verify \(domain.name)'."
                )
            }
            let target = try tunnel.map { try Self.target($0, passesThrough: passesThrough, in: scope) }
            let routed = try domain.route(to: target?.id, in: scope)
            try Audit.record(
                .domainRouted, target: routed.name, detail: target?.name ?? "nowhere", by: caller, now: .now(),
                in: scope)
            return try listed(routed, in: scope)
        }
        try await load()
        return routed
    }

    private static func target(_ named: String, passesThrough: Bool?, in scope: TenantScope) throws -> Tunnel {
        guard let tunnel = try Tunnel.find(named: named, in: scope) else {
            throw Refusal(.notFound, "There is no tunnel \(named.prefix(64)); 'postern tunnel list' shows all.")
        }
        guard tunnel.kind != .tcp, let name = tunnel.name else {
            throw Refusal(
                .notPossible, "\(tunnel.place) is a port and has no host names; choose an http or tls tunnel.")
        }
        if let passesThrough, passesThrough != (tunnel.kind == .tls) {
            throw Refusal(
                .notPossible,
                passesThrough
                    ? "\(name) is an http tunnel, whose TLS is terminated at this server; open one with 'postern tls' for passthrough."
                    : "\(name) is a tls tunnel, whose TLS is terminated at the machine; open one with 'postern http' for termination."
            )
        }
        return tunnel
    }

    /// Removes a domain. The name stays reserved for the organisation for 90 days if it was verified.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func remove(_ named: String, by caller: Caller) async throws {
        try await database.write(essential: true) { database in
            let (domain, scope) = try Self.find(named, .domainManage, by: caller, in: database)
            try domain.remove(now: .now(), in: scope)
            try Audit.record(.domainRemoved, target: domain.name, by: caller, now: .now(), in: scope)
        }
        try await load()
    }

    // MARK: Upkeep

    /// Tells the edge where names lead, and the certificates' keeper which ones are wanted.
    /// - Throws: ``StorageError``.
    public func load() async throws {
        let now = Timestamp.now()
        let (names, generation) = try await database.write(essential: true) { database in
            let routed = try Domain.routed(in: database).filter { $0.domain.isServed(now: now) }
            // Here, where one transaction follows the other: an older map never comes after a newer one.
            server.route(
                domains: Dictionary(
                    routed.map {
                        (
                            $0.domain.name,
                            DomainTarget(
                                domainId: $0.domain.id, tunnelName: $0.tunnelName, tunnelId: $0.domain.tunnelId ?? "")
                        )
                    }
                ) { first, _ in first })
            return (routed.filter(\.endsTLS).map(\.domain.name), generations.next())
        }
        certificates?.want(names, generation: generation)
    }

    /// Tells the owners of certificates that are not renewed: once when a quarter of the lifetime is left, and once at a
    /// tenth.
    private func alert() async throws {
        guard let certificates else { return }
        let routed = try await database.read { try Domain.routed(in: $0).filter(\.endsTLS).map(\.domain) }
        for domain in routed {
            guard let status = certificates.status(of: domain.name), status.urgency != domain.alerted else { continue }
            let end = status.notAfter.map { Timestamp(milliseconds: Int64($0) * 1000).readable } ?? "soon"
            let sentence =
                "The certificate of \(domain.name) ends at \(end) and was not renewed. \(status.problem ?? "The reason is not known.")"
            let owners = try await database.write(essential: true) { database in
                let scope = database.tenant(domain.organisationId)
                try domain.alerted(status.urgency, in: scope)
                guard status.urgency > domain.alerted else { return [String]() }
                try Audit.record(
                    .domainCertificateEnding, target: domain.name, detail: sentence, result: .failed, actor: .server,
                    now: .now(), in: scope)
                return try Member.list(in: scope).filter(\.role.isOwner).map(\.user.id)
            }
            for owner in owners {
                await mail?.notify(
                    userId: owner, subject: "The certificate of \(domain.name) ends soon", sentence,
                    path: "/organisation/domains/\(domain.id)")
            }
        }
    }

    /// Verifies proofs again, the oldest check first.
    /// - Throws: ``StorageError``.
    public func upkeep() async throws {
        // Also for what ended elsewhere: accounts and organisations that are removed, tunnels that are given up.
        try await load()
        try await alert()
        guard let lookup else { return }
        let before = Timestamp(milliseconds: Timestamp.now().milliseconds - Self.recheck)
        let due = try await database.read { try Domain.due(before: before, limit: Self.perRound, in: $0) }
        for domain in due {
            try Task.checkCancellation()
            let problem: String?
            var note: String?
            switch await lookup.proof(domain.proof, at: domain.proofName) {
            case .found:
                problem = nil
                note = domain.tunnelId == nil ? nil : await lookup.problems(of: domain.name).first
            case .missing(let sentence): problem = sentence
            case .unknown(let sentence):
                try await database.write { database in
                    try domain.unanswered(
                        problem: sentence, now: .now(), in: database.tenant(domain.organisationId))
                }
                continue
            }
            try await database.write { [note] database in
                let scope = database.tenant(domain.organisationId)
                let now = Timestamp.now()
                // It may have been removed while the name server took its time.
                guard let domain = try Domain.find(named: domain.id, in: scope) else { return }
                let checked = try domain.checked(problem: problem, note: note, now: now, in: scope)
                if domain.isServed(now: domain.checkedAt ?? now) && !checked.isServed(now: now) {
                    try Audit.record(
                        .domainPaused, target: domain.name, detail: problem ?? "", actor: .server, now: now, in: scope)
                }
            }
        }
        if !due.isEmpty { try await load() }
    }
}

/// Numbers that grow.
private final class GenerationCounter: Sendable {
    private let value = Mutex(0)

    func next() -> Int {
        value.withLock { value in
            value += 1
            return value
        }
    }
}
