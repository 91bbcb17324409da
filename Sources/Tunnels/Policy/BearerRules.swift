import Crypto
import FoundationEssentials
import HTTP1
import JWTKit
import Model
import Wire

/// Verifies signed tokens (RFC 7519) of a policy. Fails closed: without a usable key the policy is refused, and a token
/// without an expiry or with any other mistake is not accepted.
struct BearerRules: Sendable {
    /// The maximum difference between this server's clock and the issuer's, in seconds.
    private static let leeway = 60.0
    /// The maximum size of a key set, in bytes.
    private static let keyBytes = 64 << 10
    /// The maximum size of a token, in bytes. Heads are limited to 16 KiB.
    private static let tokenBytes = 8 << 10

    private struct KeySet: Decodable {
        let keys: [Key]

        /// Keys of unknown kinds are ignored.
        struct Key: Decodable {
            let jwk: JWK?
            init(from decoder: any Decoder) throws { jwk = try? JWK(from: decoder) }
        }
    }

    private struct Payload: JWTPayload {
        let iss: String?
        let aud: AudienceClaim?
        let exp: Double
        let nbf: Double?

        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    private let issuer, audience: String?
    private let keys: [JWK]

    /// - Throws: ``AccessRules/Problem``.
    init(_ policy: BearerPolicy) throws(AccessRules.Problem) {
        guard policy.keys.utf8.count <= Self.keyBytes else {
            throw AccessRules.Problem(message: "The key set has more than \(Self.keyBytes >> 10) KiB.")
        }
        let set = try? JSONDecoder().decode(KeySet.self, from: Data(policy.keys.utf8))
        var known: [JWK] = []
        for (index, key) in (set?.keys ?? []).enumerated() {
            guard var jwk = key.jwk else { continue }
            if jwk.keyIdentifier == nil { jwk.keyIdentifier = .init(string: "unnamed-\(index)") }
            known.append(jwk)
        }
        guard !known.isEmpty else {
            throw AccessRules.Problem(
                message: "The key set holds no public key; it must be a JSON Web Key Set: {\"keys\":[…]}.")
        }
        keys = known
        issuer = policy.issuer
        audience = policy.audience
    }

    /// The token in an `Authorization` header.
    static func token(in authorization: String?) -> String? {
        guard let authorization, authorization.lowercased().hasPrefix("bearer ") else { return nil }
        let token = authorization.dropFirst(7).trimmingSpaces()
        return token.isEmpty || token.utf8.count > tokenBytes ? nil : String(token)
    }

    /// - Parameter now: seconds since 1970.
    /// - Returns: when the token expires, in seconds since 1970; nil if it is not accepted.
    func verify(_ token: String, now: Double) async -> Double? {
        guard Self.isSignedWithAPrivateKey(token) else { return nil }
        let collection = JWTKeyCollection()
        for key in keys { _ = try? await collection.add(jwk: key) }
        // Every error means the same: the token is not accepted.
        guard let payload = try? await collection.verify(token, as: Payload.self) else { return nil }
        guard payload.exp > now - Self.leeway, payload.nbf ?? 0 < now + Self.leeway else { return nil }
        if let issuer, payload.iss != issuer { return nil }
        if let audience, payload.aud?.value.contains(audience) != true { return nil }
        return payload.exp + Self.leeway
    }

    private struct Header: Decodable { let alg: String }

    /// Accepts neither `none` nor an algorithm with a shared key: anybody who can read the public key could sign.
    private static func isSignedWithAPrivateKey(_ token: String) -> Bool {
        let head = token.prefix { $0 != "." }.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        let padding = String(repeating: "=", count: (4 - head.count % 4) % 4)
        guard let bytes = Data(base64Encoded: String(head) + padding),
            let header = try? JSONDecoder().decode(Header.self, from: bytes)
        else { return false }
        return ["RS", "PS", "ES", "Ed"].contains(String(header.alg.prefix(2)))
    }
}
