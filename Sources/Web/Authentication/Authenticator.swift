import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import JWTKit
import Storage
import Wire

/// Says who a bearer token belongs to: an API token, or a JWT that was made from one.
struct Authenticator: Sendable {
    /// What an access token says (RFC 7519). `purpose` keeps it from being taken for any other kind of token.
    struct AccessToken: JWTPayload {
        static let purpose = "access"
        let sub: SubjectClaim
        let exp: ExpirationClaim
        let iat: IssuedAtClaim
        let purpose: String

        func verify(using algorithm: some JWTAlgorithm) throws {
            try exp.verifyNotExpired()
            guard purpose == Self.purpose else {
                throw JWTError.claimVerificationFailure(failedClaim: nil, reason: "not an access token")
            }
        }
    }

    private let database: Database
    private let keys: JWTKeyCollection

    /// - Parameter signingKey: at least 32 random bytes.
    init(database: Database, signingKey: [UInt8]) async {
        self.database = database
        keys = await JWTKeyCollection().add(hmac: HMACKey(key: .init(data: signingKey)), digestAlgorithm: .sha256)
    }

    /// The user behind a request.
    /// - Throws: ``APIError/unauthorized``; ``StorageError``.
    func user(of request: Request) async throws -> User {
        let header = request.headers[.authorization] ?? ""
        guard header.lowercased().hasPrefix("bearer ") else { throw APIError.unauthorized }
        guard let user = try await user(of: String(header.dropFirst("bearer ".count))) else {
            throw APIError.unauthorized
        }
        return user
    }

    /// The user behind a token, or nil.
    /// - Throws: ``StorageError``.
    func user(of token: String) async throws -> User? {
        guard token.utf8.count <= WireLimits.tokenBytes else { return nil }
        if token.hasPrefix(APIToken.prefix) { return try await database.read { try APIToken.owner(of: token, in: $0) } }
        // Any failure to verify means the same: this is no token of ours, or no longer.
        guard let verified = try? await keys.verify(token, as: AccessToken.self) else { return nil }
        return try await database.read { try User.find(id: verified.sub.value, in: $0) }
    }

    func accessToken(for user: User, now: Timestamp) async throws -> AccessTokenResource {
        let issued = Double(now.milliseconds) / 1000
        let token = AccessToken(
            sub: .init(value: user.id),
            exp: .init(value: .init(timeIntervalSince1970: issued + Double(WebConfiguration.accessTokenSeconds))),
            iat: .init(value: .init(timeIntervalSince1970: issued)), purpose: AccessToken.purpose)
        return AccessTokenResource(
            accessToken: try await keys.sign(token), expiresIn: WebConfiguration.accessTokenSeconds)
    }
}
