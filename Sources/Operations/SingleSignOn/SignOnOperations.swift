public import Database
public import Identity
public import Model
public import Storage
import Synchronization
public import Tunnels

/// Single sign-on with an organisation's own OpenID Connect issuer.
public struct SignOnOperations: Sendable {
    /// Makes the provider of an issuer.
    public typealias MakeProvider =
        @Sendable (_ issuer: String, _ registration: ProviderRegistration) throws -> any Provider

    private let database: Database
    private let tunnels: TunnelServer
    /// Nil where the server's owner allows no issuers of organisations.
    private let makeProvider: MakeProvider?
    private let providers = Providers()

    public init(database: Database, tunnels: TunnelServer, makeProvider: MakeProvider?) {
        self.database = database
        self.tunnels = tunnels
        self.makeProvider = makeProvider
    }

    public var isOn: Bool { makeProvider != nil }

    /// Providers that were used, with what they have fetched.
    private final class Providers: Sendable {
        let known = Mutex<[String: (changedAt: Timestamp, provider: any Provider)]>([:])
        /// Above this, all are made again.
        static let limit = 1_000
    }

    // MARK: Settings

    /// The issuer of an organisation, for its owner. It does not need a sign-on: it must be possible to correct it.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func show(of organisation: String, by caller: Caller) async throws -> SingleSignOn? {
        try await database.read { database in
            let member = try Self.owner(organisation, caller, in: database)
            return try SingleSignOn.find(in: database.tenant(member.organisation.id))
        }
    }

    private static func owner(_ organisation: String, _ caller: Caller, in database: Transaction) throws -> Member {
        let member = try caller.member(of: organisation, may: .signOnManage, needsSignOn: false, in: database)
        guard member.organisation.personalOf == nil else {
            throw Refusal(.notPossible, "A personal organisation has no members to sign on; create a team.")
        }
        return member
    }

    /// - Parameters:
    ///   - secret: nil keeps the stored one.
    ///   - isRequired: refused until the owner has signed on: otherwise a mistake would lock everybody out.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func set(
        _ organisation: String, issuer: String, clientId: String, secret: String?, isRequired: Bool, isForTunnels: Bool,
        by caller: Caller
    ) async throws -> SingleSignOn? {
        guard isOn else {
            throw Refusal(
                .notPossible, "This server does not use issuers of organisations (organisation-issuers is off).")
        }
        guard issuer.hasPrefix("https://") || issuer.hasPrefix("http://127.0.0.1:"), issuer.utf8.count <= 512,
            issuer.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw Refusal(.invalid, "issuer: use the issuer's address, as in https://id.example.org.") }
        guard (1...256).contains(clientId.utf8.count) else {
            throw Refusal(.invalid, "clientId: use 1 to 256 characters.")
        }
        let changed = try await database.write { database in
            let member = try Self.owner(organisation, caller, in: database)
            let scope = database.tenant(member.organisation.id)
            let before = try SingleSignOn.find(in: scope)
            let now = Timestamp.now()
            if isRequired || isForTunnels {
                guard before?.issuer == issuer, try caller.hasSignedOn(now: now, in: scope) else {
                    throw Refusal(
                        .signOnNeeded,
                        "First save the issuer without requiring it, and sign on with it yourself: a mistake would lock everybody out."
                    )
                }
            }
            if before == nil, secret == nil {
                throw Refusal(.notPossible, "clientSecret: give the secret of the registration.")
            }
            try SingleSignOn.set(
                issuer: issuer, clientId: clientId, secret: secret, isRequired: isRequired, isForTunnels: isForTunnels,
                now: now, in: scope)
            try Audit.record(
                .signOnChanged, target: issuer,
                detail: isRequired ? "required" : isForTunnels ? "for private tunnels" : "optional", by: caller,
                now: now,
                in: scope)
            return try SingleSignOn.find(in: scope)
        }
        await ended(organisation)
        return changed
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func remove(_ organisation: String, by caller: Caller) async throws {
        try await database.write { database in
            let member = try Self.owner(organisation, caller, in: database)
            let scope = database.tenant(member.organisation.id)
            try SingleSignOn.remove(in: scope)
            try Audit.record(.signOnChanged, target: "none", by: caller, now: .now(), in: scope)
        }
    }

    /// Forgets who a member is at the issuer.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func reset(_ userId: String, in organisation: String, by caller: Caller) async throws {
        try await database.write { database in
            let member = try Self.owner(organisation, caller, in: database)
            let scope = database.tenant(member.organisation.id)
            try SingleSignOn.forget(userId: userId, in: scope)
            try Audit.record(.signOnReset, target: userId, by: caller, now: .now(), in: scope)
        }
        await ended(organisation)
    }

    /// Links and sessions of people who would have to sign on now end.
    private func ended(_ organisation: String) async {
        tunnels.endMembers { $0.organisationId == organisation }
        await tunnels.cutForgotten(of: organisation)
    }

    // MARK: Signing on

    /// The provider of an organisation, for one of its members.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func provider(
        of organisation: String, for caller: Caller
    ) async throws -> (provider: any Provider, organisation: Organisation) {
        guard let makeProvider else {
            throw Refusal(
                .notPossible, "This server does not use issuers of organisations (organisation-issuers is off).")
        }
        let (found, secret, member) = try await database.read { database in
            guard let member = try Member.find(userId: caller.user.id, organisationId: organisation, in: database)
            else {
                throw Refusal(.notFound, "There is no such organisation.")
            }
            let scope = database.tenant(organisation)
            guard let found = try SingleSignOn.find(in: scope) else {
                throw Refusal(.notPossible, "\(member.organisation.name) has no single sign-on.")
            }
            return (found, try found.secret(in: scope), member)
        }
        let provider = try providers.known.withLock { known -> any Provider in
            if let one = known[organisation], one.changedAt == found.changedAt { return one.provider }
            if known.count >= Providers.limit { known.removeAll() }
            let made = try makeProvider(
                found.issuer, ProviderRegistration(clientId: found.clientId, clientSecret: secret))
            known[organisation] = (found.changedAt, made)
            return made
        }
        return (provider, member.organisation)
    }

    /// Records what the issuer has said of a member.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func signedOn(_ person: ProvidedPerson, in organisation: String, by caller: Caller) async throws {
        guard case .signIn(let signIn) = caller.credential else {
            throw Refusal(.signInNeeded, "Sign on in a browser.")
        }
        try await database.write { database in
            guard try Member.find(userId: caller.user.id, organisationId: organisation, in: database) != nil else {
                throw Refusal(.notFound, "There is no such organisation.")
            }
            let scope = database.tenant(organisation)
            try SingleSignOn.prove(
                userId: caller.user.id, signInId: signIn, subject: person.subject, now: .now(), in: scope)
            try Audit.record(
                .signedOn, target: caller.user.username, detail: String((person.email ?? person.username).prefix(100)),
                by: caller, now: .now(), in: scope)
        }
    }
}
