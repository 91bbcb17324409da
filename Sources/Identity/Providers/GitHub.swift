public import Outbound
public import TransportSecurity

/// GitHub's OAuth 2 (not OpenID Connect): exchanges the code for an access token, and uses it to read the user's
/// profile.
public struct GitHub: Provider {
    public let name = "github"
    public let title = "GitHub"

    public var authority: String { url }

    private let registration: ProviderRegistration
    private let url: String
    private let apiURL: String
    private let http: ProviderHTTP

    /// - Parameters:
    ///   - url: `https://github.com`, or that of an enterprise server.
    ///   - apiURL: `https://api.github.com`, or that of an enterprise server.
    public init(_ registration: ProviderRegistration, url: String, apiURL: String, client: HTTPClient, tls: TLSContext)
    {
        self.registration = registration
        self.url = url
        self.apiURL = apiURL
        http = ProviderHTTP(client: client, tls: tls)
    }

    public func authorizationURL(_ attempt: ProviderAttempt) async throws -> String {
        ProviderHTTP.url(
            "\(url)/login/oauth/authorize",
            [
                ("client_id", registration.clientId), ("redirect_uri", attempt.redirectURL),
                ("scope", "read:user user:email"), ("state", attempt.state),
                ("code_challenge", PKCE.challenge(attempt.verifier)), ("code_challenge_method", "S256"),
            ])
    }

    private struct Token: Decodable { let access_token: String }
    private struct User: Decodable {
        let id: Int
        let login: String
    }
    private struct Address: Decodable {
        let email: String
        let primary: Bool
        let verified: Bool
    }

    public func person(code: String, _ attempt: ProviderAttempt) async throws -> ProvidedPerson {
        let token = try await http.post(
            "\(url)/login/oauth/access_token",
            [
                ("client_id", registration.clientId), ("client_secret", registration.clientSecret), ("code", code),
                ("redirect_uri", attempt.redirectURL), ("code_verifier", attempt.verifier),
            ], as: Token.self)
        let user = try await http.get("\(apiURL)/user", bearer: token.access_token, as: User.self)
        // The profile's public address is not verified; this list contains the verified ones.
        let addresses = try? await http.get("\(apiURL)/user/emails", bearer: token.access_token, as: [Address].self)
        let address = addresses?.first { $0.primary }
        return ProvidedPerson(
            subject: "\(user.id)", email: address?.email, isEmailVerified: address?.verified ?? false,
            username: user.login)
    }
}
