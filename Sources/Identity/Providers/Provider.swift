import TransportSecurity

/// An external identity provider.
public protocol Provider: Sendable {
    /// Used in our URLs and in the database: `github`, `google`, `oidc`.
    var name: String { get }
    /// Stored with each identity. Unique per provider, even if an owner switches to another provider.
    var authority: String { get }
    /// The name that is shown to people.
    var title: String { get }
    /// The URL that the browser is sent to.
    /// - Throws: ``IdentityError``.
    func authorizationURL(_ attempt: ProviderAttempt) async throws -> String
    /// The person who belongs to the code that the browser returned with.
    /// - Throws: ``IdentityError`` if the provider does not answer, or if its answer cannot be correct.
    func person(code: String, _ attempt: ProviderAttempt) async throws -> ProvidedPerson
}

/// One sign-in attempt: values that only this browser and this server know.
public struct ProviderAttempt: Sendable {
    public let state: String
    public let nonce: String
    /// PKCE (RFC 7636): the first request contains its SHA-256, and the request with the code contains the verifier
    /// itself.
    public let verifier: String
    /// The URL to which the provider sends the browser back.
    public let redirectURL: String

    public init(state: String, nonce: String, verifier: String, redirectURL: String) {
        self.state = state
        self.nonce = nonce
        self.verifier = verifier
        self.redirectURL = redirectURL
    }
}

/// The provider's data about a person.
public struct ProvidedPerson: Sendable, Equatable {
    /// Never changes, and is unique to this person.
    public let subject: String
    public let email: String?
    public let isEmailVerified: Bool
    /// The person's name at the provider.
    public let username: String
}

/// A client's registration with a provider.
public struct ProviderRegistration: Sendable {
    public let clientId: String
    public let clientSecret: String

    public init(clientId: String, clientSecret: String) {
        self.clientId = clientId
        self.clientSecret = clientSecret
    }
}
