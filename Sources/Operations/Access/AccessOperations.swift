public import Database
import FoundationEssentials
public import Logging
public import Model
public import Storage
public import Tunnels
public import Wire

/// Access policies of tunnels and domains, and the sign-in of members on private tunnels.
public struct AccessOperations: Sendable {
    /// Shown in place of a password. A policy that is sent with it keeps the stored password.
    static let hidden = "********"
    /// The maximum size of a policy as JSON, in bytes.
    private static let policyBytes = 128 << 10

    private let database: Database
    private let server: TunnelServer
    private let logger: Logger
    private let publicURL: String?

    /// - Parameter publicURL: the server's own address, as services know it.
    public init(database: Database, server: TunnelServer, publicURL: String?, logger: Logger) {
        self.publicURL = publicURL
        self.database = database
        self.server = server
        self.logger = logger
    }

    /// What a policy is for, by name or id.
    public enum Subject: Sendable {
        case tunnel(String)
        case domain(String)
    }

    // MARK: Policies

    /// The policy, without passwords. An empty one if none is set.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func show(_ subject: Subject, by caller: Caller) async throws -> AccessPolicy {
        try await database.read { database in
            let found = try Self.find(subject, by: caller, mayChange: false, in: database)
            return Self.redacted(try Self.policy(of: found.target, in: found.scope))
        }
    }

    /// Replaces a policy. An empty one removes it.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func set(_ subject: Subject, _ policy: AccessPolicy, by caller: Caller) async throws -> AccessPolicy {
        let stored = try await database.write(essential: true) { database in
            let found = try Self.find(subject, by: caller, mayChange: true, in: database)
            var policy = policy
            if policy.basicAuth?.contains(where: { $0.hasSuffix(":\(Self.hidden)") }) == true {
                policy.basicAuth = try Self.restored(
                    policy.basicAuth ?? [], from: Self.policy(of: found.target, in: found.scope))
            }
            do throws(PolicyProblem) { _ = try CompiledPolicy(policy, isHTTP: found.isHTTP, number: 0) } catch {
                // Valid JSON of the right form, whose values cannot be used.
                throw Refusal(.notPossible, error.message)
            }
            let text = String(decoding: try JSONEncoder().encode(policy), as: UTF8.self)
            guard text.utf8.count <= Self.policyBytes else {
                throw Refusal(.invalid, "The policy has more than \(Self.policyBytes >> 10) KiB.")
            }
            let organisation = found.member.organisation
            if policy.usesAddressLists {
                try Tunnel.checkAddressLists(caller.allowance(in: organisation, database), in: database)
            }
            try StoredPolicy.set(found.target, policy.isEmpty ? nil : text, now: .now(), in: found.scope)
            try Audit.record(
                .accessChanged, target: found.name, detail: Self.summary(policy), by: caller, now: .now(),
                in: found.scope)
            return policy
        }
        try await load()
        return Self.redacted(stored)
    }

    private static func policy(of target: StoredPolicy.Target, in scope: TenantScope) throws -> AccessPolicy {
        guard let text = try StoredPolicy.find(target, in: scope) else { return AccessPolicy() }
        return try JSONDecoder().decode(AccessPolicy.self, from: Data(text.utf8))
    }

    private static func redacted(_ policy: AccessPolicy) -> AccessPolicy {
        var policy = policy
        policy.basicAuth = policy.basicAuth?.map { "\($0.prefix { $0 != ":" }):\(hidden)" }
        return policy
    }

    private static func restored(_ pairs: [String], from known: AccessPolicy) throws -> [String] {
        try pairs.map { pair in
            let name = pair.prefix { $0 != ":" }
            guard pair.dropFirst(name.count + 1) == hidden else { return pair }
            guard let stored = known.basicAuth?.first(where: { $0.hasPrefix("\(name):") }) else {
                throw Refusal(
                    .notPossible, "There is no stored password for \(name.prefix(64)); give it as NAME:PASSWORD.")
            }
            return stored
        }
    }

    /// The kinds of rules, for the audit log.
    private static func summary(_ policy: AccessPolicy) -> String {
        var words: [String] = []
        if policy.members != nil { words.append("members") }
        if policy.basicAuth != nil { words.append("basic") }
        if policy.bearer != nil { words.append("bearer") }
        if policy.allow != nil { words.append("allow") }
        if policy.deny != nil { words.append("deny") }
        if policy.rate != nil { words.append("rate") }
        if policy.concurrency != nil { words.append("concurrency") }
        if policy.breaker != nil { words.append("breaker") }
        if policy.requestHeaders != nil || policy.responseHeaders != nil { words.append("headers") }
        return words.isEmpty ? "removed" : words.joined(separator: " ")
    }

    private struct Found {
        let target: StoredPolicy.Target
        let name: String
        let isHTTP: Bool
        let member: Member
        let scope: TenantScope
    }

    private static func find(
        _ subject: Subject, by caller: Caller, mayChange: Bool, in database: Transaction
    ) throws -> Found {
        switch subject {
        case .tunnel(let named):
            let (tunnel, member) =
                mayChange
                ? try TunnelOperations.manageable(named, by: caller, in: database)
                : try TunnelOperations.visible(named, to: caller, in: database)
            return Found(
                target: .tunnel(tunnel.id), name: tunnel.place, isHTTP: tunnel.kind == .http, member: member,
                scope: database.tenant(member.organisation.id))
        case .domain(let named):
            let member = try caller.member(may: mayChange ? .domainManage : .domainRead, in: database)
            let scope = database.tenant(member.organisation.id)
            guard let domain = try Domain.find(named: named, in: scope) else {
                throw Refusal(.notFound, "There is no domain \(named.prefix(64)).")
            }
            return Found(target: .domain(domain.id), name: domain.name, isHTTP: true, member: member, scope: scope)
        }
    }

    // MARK: Members

    /// Lets a signed-in member in on a private tunnel.
    /// - Parameters:
    ///   - host: the tunnel's host, as the browser came from it.
    ///   - state: binds the result to that browser.
    /// - Returns: where the browser goes next.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func authorize(host: String, state: String, by caller: Caller) async throws -> Authorized {
        let host = host.lowercased()
        guard (16...64).contains(state.utf8.count), state.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }),
            let id = server.tunnelId(ofHost: host), let credential = caller.credential.id
        else {
            throw Refusal(.notFound, "This address is not the start of a sign-in; open the tunnel's address again.")
        }
        let found = try await database.write { database -> (Member, needsSignOn: Bool, proofEnd: Timestamp?) in
            guard let tunnel = try Tunnel.findAnywhere(id: id, in: database),
                let member = try Self.member(caller.user.id, of: tunnel.organisationId, in: database)
            else {
                throw Refusal(
                    .notAMember,
                    "You are signed in as \(caller.user.username). \(host.prefix(100)) is only for members of its organisation; ask one of them for an invitation."
                )
            }
            if member.organisation.requiresSecondFactor && !caller.isStrong {
                throw Refusal(
                    .secondFactor,
                    "\(member.organisation.name) requires a second factor: turn it on in your account and sign in again."
                )
            }
            let scope = database.tenant(tunnel.organisationId)
            var proofEnd: Timestamp?
            if let issuer = try SingleSignOn.find(in: scope), issuer.isRequired || issuer.isForTunnels {
                proofEnd = try SingleSignOn.proofEnd(
                    signInId: credential, userId: caller.user.id, now: .now(), in: scope)
                if proofEnd == nil { return (member, true, nil) }
            }
            try Audit.record(.accessSignedIn, target: host, by: caller, now: .now(), in: scope)
            return (member, false, proofEnd)
        }
        let member = found.0
        guard !found.needsSignOn else { return .signOn(organisationId: member.organisation.id) }
        return .go(
            to: server.admit(
                EdgeMember(
                    userId: member.user.id, username: member.user.username.lowercased(),
                    organisationId: member.organisation.id, credentialId: credential, endsAt: found.proofEnd),
                host: host, state: state))
    }

    /// Where a browser goes after it has asked to use a private tunnel.
    public enum Authorized: Sendable {
        case go(to: String)
        /// First the member signs on with the organisation's issuer.
        case signOn(organisationId: String)
    }

    /// The member, unless the account or the organisation is out of use.
    private static func member(_ user: String, of organisation: String, in database: Transaction) throws -> Member? {
        guard let member = try Member.find(userId: user, organisationId: organisation, in: database),
            member.organisation.deleteAfter == nil
        else { return nil }
        return member
    }

    // MARK: Upkeep

    /// Gives all policies to the edge, and the key that signs members' identities.
    /// - Throws: ``StorageError``.
    public func load() async throws {
        try await loadKey()
        try await database.write(essential: true) { database in
            var tunnels: [String: CompiledPolicy] = [:]
            var domains: [String: CompiledPolicy] = [:]
            for stored in try StoredPolicy.all(in: database) {
                let compiled = compiled(stored)
                switch stored.target {
                case .tunnel(let id): tunnels[id] = compiled
                case .domain(let id): domains[id] = compiled
                }
            }
            // Here, where one transaction follows the other: older policies never come after newer ones.
            server.apply(tunnels: tunnels, domains: domains)
        }
    }

    /// The keys rotate: called from time to time.
    private func loadKey() async throws {
        let issuer = publicURL ?? ""
        let signer = try await database.write(essential: true) {
            try IdentityKeys.signer(issuer: issuer, now: .now(), in: $0)
        }
        if let signer { server.use(signer) }
    }

    /// The public keys of members' identities, by their ids.
    /// - Throws: ``StorageError``.
    public func publicKeys() async throws -> [(id: String, bytes: [UInt8])] {
        try await database.read { try IdentityKeys.publicKeys(now: .now(), in: $0) }
    }

    private func compiled(_ stored: StoredPolicy) -> CompiledPolicy {
        do {
            guard let text = stored.text else { throw PolicyProblem.unreadable }
            let policy = try JSONDecoder().decode(AccessPolicy.self, from: Data(text.utf8))
            // Rules that need requests refuse the connections of tcp and tls tunnels at the edge.
            return try CompiledPolicy(policy, isHTTP: true, number: stored.revision)
        } catch {
            logger.error(
                "an access policy cannot be read; nobody is allowed",
                metadata: ["target": "\(stored.target)", "problem": "\(error)"])
            return .closed(number: stored.revision)
        }
    }

    /// Ends the sign-ins of people who are no longer members, or whose sign-in has ended.
    /// - Throws: ``StorageError``.
    public func upkeep() async throws {
        let signedIn = server.signedInMembers + (await server.visitingMembers())
        guard !signedIn.isEmpty else { return }
        let gone = try await database.read { database in
            try signedIn.filter { one in
                if let end = one.endsAt, end <= .now() { return true }
                if try SignIn.find(id: one.credentialId, now: .now(), in: database) == nil { return true }
                return try Self.member(one.userId, of: one.organisationId, in: database) == nil
            }
        }
        guard !gone.isEmpty else { return }
        server.endMembers { gone.contains($0) }
    }
}
