import FoundationEssentials
import JWTKit
import Model
public import Outbound
public import TransportSecurity

/// Any OpenID Connect provider. It is found by discovery (OpenID Connect Discovery 1.0) and used with PKCE and nonce.
public actor OpenIDProvider: Provider {
    /// How long discovery and keys are cached, in seconds.
    private static let freshSeconds = 3600.0
    /// The minimum interval between searches for an unknown key, in seconds. Keys rotate, and anybody can name a wrong
    /// one.
    private static let retrySeconds = 10.0
    /// The allowed difference between clocks, in seconds.
    private static let leewaySeconds = 60.0

    public nonisolated let name: String
    public nonisolated let title: String
    public nonisolated var authority: String { issuer }
    private nonisolated let issuer: String
    private let registration: ProviderRegistration
    private let http: ProviderHTTP
    private var discovered: (Discovery, Date)?
    private var keys: (JWTKeyCollection, Date)?

    /// - Parameter issuer: exactly as the provider spells it, as in `https://accounts.google.com`.
    public init(
        name: String, title: String, issuer: String, _ registration: ProviderRegistration, client: HTTPClient,
        tls: TLSContext
    ) {
        self.name = name
        self.title = title
        self.issuer = issuer
        self.registration = registration
        http = ProviderHTTP(client: client, tls: tls)
    }

    private struct Discovery: Decodable {
        let issuer: String
        let authorization_endpoint: String
        let token_endpoint: String
        let jwks_uri: String
        let token_endpoint_auth_methods_supported: [String]?
        let userinfo_endpoint: String?
    }

    public func authorizationURL(_ attempt: ProviderAttempt) async throws -> String {
        ProviderHTTP.url(
            try await discovery().authorization_endpoint,
            [
                ("response_type", "code"), ("client_id", registration.clientId), ("redirect_uri", attempt.redirectURL),
                ("scope", "openid email profile"), ("state", attempt.state), ("nonce", attempt.nonce),
                ("code_challenge", PKCE.challenge(attempt.verifier)), ("code_challenge_method", "S256"),
            ])
    }

    private struct Tokens: Decodable {
        let id_token: String
        let access_token: String?
    }

    public func person(code: String, _ attempt: ProviderAttempt) async throws -> ProvidedPerson {
        let discovery = try await discovery()
        var fields = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", attempt.redirectURL),
            ("code_verifier", attempt.verifier),
        ]
        // RFC 8414: without the list, the method is client_secret_basic.
        let methods = discovery.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]
        let usesBasic = methods.contains("client_secret_basic")
        if !usesBasic {
            fields += [("client_id", registration.clientId), ("client_secret", registration.clientSecret)]
        }
        let tokens = try await http.post(
            discovery.token_endpoint, fields,
            basic: usesBasic ? (registration.clientId, registration.clientSecret) : nil, as: Tokens.self)
        let token = try await checked(tokens.id_token, nonce: attempt.nonce)
        var profile = token.profile
        // Many providers put only `sub` into the token, and return the rest for the access token.
        if !profile.isWhole, let place = discovery.userinfo_endpoint, let access = tokens.access_token {
            let more = try await http.get(place, bearer: access, as: UserInfo.self)
            // OpenID Connect Core 1.0, section 5.3.2: the claims must not come from the token of another user.
            guard more.sub == token.sub else {
                throw IdentityError(.provider, "the userinfo endpoint returned a different sub than the ID token")
            }
            profile = profile.completed(by: more.profile)
        }
        return ProvidedPerson(
            subject: token.sub, email: profile.email, isEmailVerified: profile.isEmailVerified,
            username: profile.username)
    }

    /// OpenID Connect Core 1.0, section 5.1: a provider's claims about a person, in the token or from the userinfo
    /// endpoint.
    private struct Profile {
        var email: String?
        var isEmailVerified: Bool
        var preferredUsername: String?
        var name: String?

        /// Whether no further request is needed.
        var isWhole: Bool { email != nil && preferredUsername != nil }

        var username: String {
            preferredUsername ?? email.map { String($0.prefix { $0 != "@" }) } ?? name ?? "person"
        }

        /// An address and whether it is verified must come from the same source.
        func completed(by other: Profile) -> Profile {
            Profile(
                email: email ?? other.email, isEmailVerified: email == nil ? other.isEmailVerified : isEmailVerified,
                preferredUsername: preferredUsername ?? other.preferredUsername, name: name ?? other.name)
        }
    }

    /// Section 5.3.2.
    private struct UserInfo: Decodable {
        let sub: String
        let email: String?
        let email_verified: BoolClaim?
        let preferred_username: String?
        let name: String?

        var profile: Profile {
            Profile(
                email: email, isEmailVerified: email_verified?.value ?? false, preferredUsername: preferred_username,
                name: name)
        }
    }

    // MARK: The ID token

    /// OpenID Connect Core 1.0, section 2.
    private struct IDToken: JWTPayload {
        let iss: String
        let sub: String
        let aud: AudienceClaim
        let exp: Double
        let nbf: Double?
        let azp: String?
        let nonce: String?
        let email: String?
        let email_verified: BoolClaim?
        let preferred_username: String?
        let name: String?

        func verify(using algorithm: some JWTAlgorithm) throws {}

        var profile: Profile {
            Profile(
                email: email, isEmailVerified: email_verified?.value ?? false, preferredUsername: preferred_username,
                name: name)
        }
    }

    private func checked(_ token: String, nonce: String) async throws -> IDToken {
        try Self.checkAlgorithm(token)
        let payload = try await verified(token)
        let now = Date().timeIntervalSince1970
        // Section 3.1.3.7. Each error names its claim, so that the person who configures the provider finds the
        // mistake.
        guard payload.iss == issuer else { throw wrong("is from '\(payload.iss.prefix(100))', not from \(issuer)") }
        guard payload.aud.value.contains(registration.clientId) else {
            throw wrong("has an aud without the client ID \(registration.clientId)")
        }
        guard payload.aud.value.count == 1 || payload.azp == registration.clientId,
            payload.azp == nil || payload.azp == registration.clientId
        else {
            throw wrong("has the azp '\(payload.azp?.prefix(100) ?? "")', not the client ID \(registration.clientId)")
        }
        guard payload.exp > now - Self.leewaySeconds else { throw wrong("has expired") }
        guard payload.nbf ?? 0 < now + Self.leewaySeconds else { throw wrong("is not valid yet") }
        guard payload.nonce == nonce else { throw wrong("has the wrong nonce") }
        guard !payload.sub.isEmpty, payload.sub.utf8.count <= 255 else {
            throw wrong("has an empty sub, or one that is longer than 255 bytes")
        }
        return payload
    }

    private struct Header: Decodable { let alg: String }

    /// Accepts only signatures that the provider alone can make: not `none`, and no algorithm with a shared key.
    private static func checkAlgorithm(_ token: String) throws {
        let head = token.prefix { $0 != "." }.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        guard let bytes = Base64.bytes(String(head)),
            let header = try? JSONDecoder().decode(Header.self, from: Data(bytes)),
            ["RS", "PS", "ES", "Ed"].contains(String(header.alg.prefix(2)))
        else { throw IdentityError(.provider, "the ID token is not signed with a key of the provider") }
    }

    private func verified(_ token: String) async throws -> IDToken {
        do {
            return try await currentKeys(fresherThan: Self.freshSeconds).verify(token, as: IDToken.self)
        } catch let error as IdentityError {
            throw error
        } catch {
            // It may be signed with a key that we have not seen yet.
            let keys = try await currentKeys(fresherThan: Self.retrySeconds)
            guard let again = try? await keys.verify(token, as: IDToken.self) else {
                throw wrong("has an invalid signature")
            }
            return again
        }
    }

    private nonisolated func wrong(_ what: String) -> IdentityError {
        IdentityError(.provider, "the ID token \(what)")
    }

    // MARK: Discovery and keys

    private func discovery() async throws -> Discovery {
        if let (known, at) = discovered, -at.timeIntervalSinceNow < Self.freshSeconds { return known }
        let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
        let found = try await http.get("\(base)/.well-known/openid-configuration", as: Discovery.self)
        guard found.issuer == issuer else {
            throw IdentityError(
                .provider, "the provider's issuer is '\(found.issuer)'; set oidc-issuer to exactly this value")
        }
        discovered = (found, Date())
        return found
    }

    private struct KeySet: Decodable {
        let keys: [Key]

        /// Keys of unknown kinds are ignored.
        struct Key: Decodable {
            let jwk: JWK?
            init(from decoder: any Decoder) throws { jwk = try? JWK(from: decoder) }
        }
    }

    private func currentKeys(fresherThan seconds: Double) async throws -> JWTKeyCollection {
        if let (known, at) = keys, -at.timeIntervalSinceNow < seconds { return known }
        let set = try await http.get(try await discovery().jwks_uri, as: KeySet.self)
        let collection = JWTKeyCollection()
        for (index, key) in set.keys.enumerated() {
            guard var jwk = key.jwk else { continue }
            if jwk.keyIdentifier == nil { jwk.keyIdentifier = .init(string: "unnamed-\(index)") }
            _ = try? await collection.add(jwk: jwk)
        }
        keys = (collection, Date())
        return collection
    }
}
