import Operations
import Storage

extension Settings {
    /// Accounts, and other providers that people sign in with.
    static let accountsGroup: [any AnyTypedSetting] = [
        registration, organisationIssuers, adminName, adminPassword, githubClientId, githubClientSecret, githubURL,
        githubAPIURL,
        googleClientId, googleClientSecret, googleIssuer, oidcIssuer, oidcClientId, oidcClientSecret, oidcTitle,
        providerCAFile, frontendURLs,
    ]

    static let registration = TypedSetting<AccountSettings.Registration>.choice(
        "registration", standard: .invited,
        "Who may create an account: anybody, people with an organisation's invitation, or only the owner.")
    static let organisationIssuers = TypedSetting<OrganisationIssuers>.choice(
        "organisation-issuers", standard: .public,
        "Issuers that organisations may use for their single sign-on: none, those at public addresses, or any, also in this server's own networks."
    )
    static let adminName = TypedSetting.text(
        "admin-name", .text, standard: "admin", "The name of the account that admin-password creates.")
    static let adminPassword = TypedSetting.optionalText(
        "admin-password", .text,
        "Creates an administrator with this password if there is none yet; no setup link is printed then.",
        isSecret: true)
    static let githubClientId = TypedSetting.optionalText(
        "github-client-id", .text,
        "Signing in with GitHub: the OAuth app's client id; its callback is PUBLIC-URL/auth/github/callback.")
    static let githubClientSecret = TypedSetting.optionalText(
        "github-client-secret", .text, "The OAuth app's client secret.", isSecret: true)
    static let githubURL = TypedSetting.text(
        "github-url", .url(["https", "http"]), standard: "https://github.com",
        "GitHub's address, or an enterprise server's.")
    static let githubAPIURL = TypedSetting.text(
        "github-api-url", .url(["https", "http"]), standard: "https://api.github.com",
        "GitHub's API, or an enterprise server's.")
    static let googleClientId = TypedSetting.optionalText(
        "google-client-id", .text,
        "Signing in with Google: the client id; its callback is PUBLIC-URL/auth/google/callback.")
    static let googleClientSecret = TypedSetting.optionalText(
        "google-client-secret", .text, "Google's client secret.", isSecret: true)
    static let googleIssuer = TypedSetting.text(
        "google-issuer", .url(["https", "http"]), standard: "https://accounts.google.com", "Google's issuer.")
    static let oidcIssuer = TypedSetting.optionalText(
        "oidc-issuer", .url(["https", "http"]),
        "Signing in with any OpenID Connect provider: its issuer, spelled exactly as the provider does.")
    static let oidcClientId = TypedSetting.optionalText(
        "oidc-client-id", .text,
        "The client id at the OpenID Connect provider; its callback is PUBLIC-URL/auth/oidc/callback.")
    static let oidcClientSecret = TypedSetting.optionalText(
        "oidc-client-secret", .text, "The client secret at the OpenID Connect provider.", isSecret: true)
    static let oidcTitle = TypedSetting.text(
        "oidc-title", .text, standard: "OpenID", "The provider's name, as users see it.")
    static let providerCAFile = TypedSetting.optionalText(
        "provider-ca-file", .path,
        "Root certificates of providers and the mail server, PEM, if the system does not trust them.")
    static let frontendURLs = TypedSetting.list(
        "frontend-urls", .list, standard: "claudelander://",
        "Programs that may receive a token after a sign-in with a provider; the first is the default."
    )
}

/// Where the issuers of organisations' single sign-on may be.
enum OrganisationIssuers: String, CaseIterable, Sendable {
    case off, `public`, any
}
