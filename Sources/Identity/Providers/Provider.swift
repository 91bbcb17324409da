import TransportSecurity

/// An external identity provider.
public protocol Provider: Sendable {
    /// Stands in our addresses and in the database: `github`, `google`, `oidc`.
    var name: String { get }
    /// Stored with each identity. Unique per provider, also where an owner changes to another one.
    var authority: String { get }
    /// As people know it.
    var title: String { get }
    /// Where to send the browser.
    /// - Throws: ``IdentityError``.
    func authorizationURL(_ attempt: ProviderAttempt) async throws -> String
    /// The person behind the code that the browser came back with.
    /// - Throws: ``IdentityError`` when the provider does not answer, or what it says cannot be true.
    func person(code: String, _ attempt: ProviderAttempt) async throws -> ProvidedPerson
}

/// One sign-in attempt: values that only this browser and this server know.
public struct ProviderAttempt: Sendable {
    public let state: String
    public let nonce: String
    /// PKCE (RFC 7636): its SHA-256 goes along first, itself with the code.
    public let verifier: String
    /// Where the provider sends the browser back to.
    public let redirectURL: String

    public init(state: String, nonce: String, verifier: String, redirectURL: String) {
        self.state = state
        self.nonce = nonce
        self.verifier = verifier
        self.redirectURL = redirectURL
    }
}

/// What a provider says of a person.
public struct ProvidedPerson: Sendable, Equatable {
    /// Never changes, and is nobody else's.
    public let subject: String
    public let email: String?
    public let isEmailVerified: Bool
    /// What the person is called there.
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
