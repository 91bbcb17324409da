import TransportSecurity

/// Somebody else who says who a person is.
public protocol Provider: Sendable {
    /// Stands in our addresses and in the database: `github`, `google`, `oidc`.
    var name: String { get }
    /// Who vouches for the person, in the database: never the same for two providers, also where an owner changes to another.
    var authority: String { get }
    /// As people know it.
    var title: String { get }
    /// Where to send the browser.
    /// - Throws: ``IdentityError``.
    func authorizationURL(_ attempt: ProviderAttempt) async throws -> String
    /// Who came back with this code.
    /// - Throws: ``IdentityError`` when the provider does not answer, or what it says cannot be true.
    func person(code: String, _ attempt: ProviderAttempt) async throws -> ProvidedPerson
}

/// One way to a provider and back: what only this browser and we know of it.
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
