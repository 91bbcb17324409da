public import Crypto
import FoundationEssentials
import Model
import Synchronization

/// Signs who a member is, for the services of private tunnels: a token (RFC 7519) with Ed25519 (RFC 8037) that a service can
/// verify with the server's public keys.
public struct IdentitySigner: Sendable {
    /// How long a token is valid, in seconds.
    static let seconds: Int64 = 60

    let keyId: String
    private let key: Curve25519.Signing.PrivateKey
    private let issuer: String

    /// - Parameters:
    ///   - keyId: the `kid`.
    ///   - issuer: the server's own address.
    public init(keyId: String, key: Curve25519.Signing.PrivateKey, issuer: String) {
        self.keyId = keyId
        self.key = key
        self.issuer = issuer
    }

    private struct Header: Encodable { let alg = "EdDSA", typ = "JWT", kid: String }

    private struct Payload: Encodable {
        let iss, aud, sub, name, org: String
        let iat, exp: Int64
    }

    /// - Returns: the token; nil if it cannot be made, which the service then misses.
    func token(for member: EdgeMember, host: String, now: Timestamp) -> String? {
        let seconds = now.milliseconds / 1000
        let payload = Payload(
            iss: issuer, aud: host, sub: member.userId, name: member.username, org: member.organisationId, iat: seconds,
            exp: seconds + Self.seconds)
        guard let header = try? JSONEncoder().encode(Header(kid: keyId)), let body = try? JSONEncoder().encode(payload)
        else { return nil }
        let text = "\(Base64.url(Array(header))).\(Base64.url(Array(body)))"
        guard let signature = try? key.signature(for: Data(text.utf8)) else { return nil }
        return "\(text).\(Base64.url(Array(signature)))"
    }
}

/// Tokens that are still fresh: a page loads many files, and each request carries one.
final class MemberIdentities: Sendable {
    /// The maximum number of tokens. Above this, all are made again.
    private static let capacity = 10_000

    private struct State {
        var signer: IdentitySigner?
        var made: [String: (token: String, until: Timestamp)] = [:]
    }

    private let state = Mutex(State())

    func use(_ signer: IdentitySigner) {
        state.withLock { state in
            if state.signer?.keyId != signer.keyId { state.made = [:] }
            state.signer = signer
        }
    }

    /// - Returns: a token that is valid for at least half of its time.
    func token(for member: EdgeMember, host: String, now: Timestamp = .now()) -> String? {
        state.withLock { state in
            let key = "\(member.userId) \(member.credentialId) \(host)"
            if let known = state.made[key], now < known.until { return known.token }
            guard let token = state.signer?.token(for: member, host: host, now: now) else { return nil }
            if state.made.count >= Self.capacity { state.made = [:] }
            state.made[key] = (token, now.advanced(bySeconds: IdentitySigner.seconds / 2))
            return token
        }
    }
}
