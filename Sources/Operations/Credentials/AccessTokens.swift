import Crypto
public import Database
import FoundationEssentials
public import JWTKit
public import Logging
public import Model
public import Storage
import Synchronization

/// Access tokens (RFC 7519): signed with a key that rotates, good for a quarter of an hour or, for the desktop client, a week.
public final class AccessTokens: Sendable {
    /// What a token is for; it is refused for everything else.
    public enum Purpose: String, Codable {
        case access
        /// The password was right; the second factor is still to be shown.
        case secondFactor = "second_factor"
        /// On the way to a provider and back.
        case provider
    }

    /// A step of signing in that a browser carries in a cookie.
    public struct Step: JWTPayload {
        let sub: SubjectClaim
        let exp: ExpirationClaim
        let purpose: String
        public var data: [String: String]?
        public var subject: String { sub.value }
        public var endsAt: Timestamp { Timestamp(milliseconds: Int64(exp.value.timeIntervalSince1970 * 1000)) }

        public func verify(using algorithm: some JWTAlgorithm) throws { try exp.verifyNotExpired() }
    }

    /// What a token says. `cred` is what revoking it needs; `plan` and `limits` let an edge decide alone.
    public struct Payload: JWTPayload {
        let sub: SubjectClaim
        let exp: ExpirationClaim
        let iat: IssuedAtClaim
        let purpose: String
        /// ``Caller/Credential/claim``. Tokens of version 0.2 have none.
        var cred: String?
        var org: String?
        var scopes: [String]?
        var strong: Bool?
        var plan: String?
        var limits: [String: Int]?
        var subject: String { sub.value }
        var endsAt: Timestamp { Timestamp(milliseconds: Int64(exp.value.timeIntervalSince1970 * 1000)) }

        public func verify(using algorithm: some JWTAlgorithm) throws {
            try exp.verifyNotExpired()
            guard purpose == Purpose.access.rawValue else {
                throw JWTError.claimVerificationFailure(failedClaim: nil, reason: "not an access token")
            }
        }
    }

    /// A signed token and how long it is good, in seconds.
    public struct Issued: Sendable {
        public let text: String
        public let seconds: Int
    }

    /// How long an access token is good, in seconds.
    static let seconds = 15 * 60
    /// The same for the desktop client in the field, which cannot renew it: a week.
    static let desktopSeconds = 7 * 86_400

    /// Between the password and the second factor, in seconds.
    public static let stepSeconds: Int64 = 600

    private struct Keys {
        let collection: JWTKeyCollection
        let newest: String
        let readAt: Timestamp
    }

    /// How often the database is asked for newer keys, in seconds: far less than old ones are believed.
    private static let refreshSeconds: Int64 = 3600

    private let database: Database
    private let logger: Logger
    private let keys = Mutex<Keys?>(nil)

    public init(database: Database, logger: Logger) {
        self.database = database
        self.logger = logger
    }

    /// - Throws: ``StorageError``.
    public func make(
        for caller: Caller, organisation: Organisation, seconds: Int, now: Timestamp
    ) async throws -> Issued {
        let keys = try await current(now)
        let issued = Double(now.milliseconds) / 1000
        let limits = database.keysAndPlans.plans[organisation.plan]
        let payload = Payload(
            sub: .init(value: caller.user.id),
            exp: .init(value: .init(timeIntervalSince1970: issued + Double(seconds))),
            iat: .init(value: .init(timeIntervalSince1970: issued)), purpose: Purpose.access.rawValue,
            cred: caller.credential.claim,
            org: organisation.id, scopes: caller.scopes.map { $0.sorted().map(\.rawValue) }, strong: caller.isStrong,
            plan: organisation.plan.rawValue, limits: limits.named)
        let text = try await keys.collection.sign(payload, kid: .init(string: keys.newest))
        return Issued(text: text, seconds: seconds)
    }

    /// What a token says, or nil when it is none of ours or has expired.
    /// - Throws: ``StorageError``.
    public func verified(_ token: String, now: Timestamp) async throws -> Payload? {
        let keys = try await current(now)
        // Any failure to verify means the same: this is no token of ours, or no longer.
        return try? await keys.collection.verify(token, as: Payload.self)
    }

    /// A step that is good for ten minutes.
    /// - Throws: ``StorageError``.
    public func makeStep(
        _ purpose: Purpose, subject: String, data: [String: String]? = nil, now: Timestamp
    ) async throws -> String {
        let keys = try await current(now)
        let end = Double(now.milliseconds) / 1000 + Double(Self.stepSeconds)
        let step = Step(
            sub: .init(value: subject), exp: .init(value: .init(timeIntervalSince1970: end)),
            purpose: purpose.rawValue, data: data)
        return try await keys.collection.sign(step, kid: .init(string: keys.newest))
    }

    /// A step of this purpose, or nil.
    /// - Throws: ``StorageError``.
    public func step(_ purpose: Purpose, _ text: String, now: Timestamp) async throws -> Step? {
        let keys = try await current(now)
        let found = try? await keys.collection.verify(text, as: Step.self)
        return found?.purpose == purpose.rawValue ? found : nil
    }

    private func current(_ now: Timestamp) async throws -> Keys {
        if let known = keys.withLock({ $0 }), now < known.readAt.advanced(bySeconds: Self.refreshSeconds) {
            return known
        }
        let stored = try await stored(now)
        let collection = JWTKeyCollection()
        for key in stored {
            await collection.add(
                hmac: HMACKey(key: .init(data: key.secret)), digestAlgorithm: .sha256, kid: .init(string: key.id))
        }
        let made = Keys(collection: collection, newest: stored.first?.id ?? "", readAt: now)
        keys.withLock { $0 = made }
        return made
    }

    /// The keys in the database, with a new one when it is due.
    private func stored(_ now: Timestamp) async throws -> [SigningKey] {
        let believed = try await database.read { try SigningKey.valid(now: now, in: $0) }
        if let newest = believed.first, !newest.isOld(now: now) { return believed }
        do {
            return try await database.write(essential: true) { try SigningKey.rotateIfDue(now: now, in: $0) }
        } catch let error as StorageError {
            // Keep signing with the old key: refusing sign-ins would not fix the write error.
            if believed.isEmpty { throw error }
            logger.error("no new key for access tokens; the old one goes on", metadata: ["error": "\(error)"])
            return believed
        }
    }
}
