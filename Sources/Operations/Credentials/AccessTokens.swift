import Crypto
public import Database
import FoundationEssentials
public import JWTKit
public import Logging
public import Model
public import Storage
import Synchronization

/// Access tokens (RFC 7519). They are signed with a key that rotates, and are valid for a quarter of an hour or, for
/// the desktop client, a week.
public final class AccessTokens: Sendable {
    /// The purpose of a token. It is refused for every other purpose.
    public enum Purpose: String, Codable {
        case access
        /// The password was correct. The second factor is still required.
        case secondFactor = "second_factor"
        /// During the redirect to a provider and back.
        case provider
    }

    /// A step of a sign-in. The browser stores it in a cookie.
    public struct Step: JWTPayload {
        let sub: SubjectClaim
        let exp: ExpirationClaim
        let purpose: String
        public var data: [String: String]?
        public var subject: String { sub.value }
        public var endsAt: Timestamp { Timestamp(milliseconds: Int64(exp.value.timeIntervalSince1970 * 1000)) }

        public func verify(using algorithm: some JWTAlgorithm) throws { try exp.verifyNotExpired() }
    }

    /// The contents of a token. `cred` is needed to revoke it. With `plan` and `limits` an edge can decide without a lookup.
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

    /// A signed token and its lifetime in seconds.
    public struct Issued: Sendable {
        public let text: String
        public let seconds: Int
    }

    /// The lifetime of an access token, in seconds.
    static let seconds = 15 * 60
    /// The lifetime for the desktop client already in use, which cannot renew tokens, in seconds: a week.
    static let desktopSeconds = 7 * 86_400

    /// The maximum time between the password and the second factor, in seconds.
    public static let stepSeconds: Int64 = 600

    private struct Keys {
        let collection: JWTKeyCollection
        let newest: String
        let readAt: Timestamp
    }

    /// The interval between two checks for newer keys in the database, in seconds: far shorter than the time for which
    /// old keys are accepted.
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

    /// The contents of a token. Nil if it is not one of our tokens or has expired.
    /// - Throws: ``StorageError``.
    public func verified(_ token: String, now: Timestamp) async throws -> Payload? {
        let keys = try await current(now)
        // Every verification error means that the token is not ours or is no longer valid.
        return try? await keys.collection.verify(token, as: Payload.self)
    }

    /// Creates a step that is valid for ten minutes.
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

    /// The step in a text. Nil if the text is not a valid step with this purpose.
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

    /// The keys in the database. Creates a new one if it is due.
    private func stored(_ now: Timestamp) async throws -> [SigningKey] {
        let believed = try await database.read { try SigningKey.valid(now: now, in: $0) }
        if let newest = believed.first, !newest.isOld(now: now) { return believed }
        do {
            return try await database.write(essential: true) { try SigningKey.rotateIfDue(now: now, in: $0) }
        } catch let error as StorageError {
            // Keep signing with the old key: refusing sign-ins would not fix the write error.
            if believed.isEmpty { throw error }
            logger.error(
                "cannot create a new key for access tokens; the old key stays in use", metadata: ["error": "\(error)"])
            return believed
        }
    }
}
