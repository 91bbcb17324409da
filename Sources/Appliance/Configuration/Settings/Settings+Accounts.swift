import Operations
import Storage

extension Settings {
    /// Accounts, and other providers that people sign in with.
    static let accountsGroup: [any AnyTypedSetting] = [
        registration, adminName, adminPassword, githubClientId, githubClientSecret, githubURL, githubAPIURL,
        googleClientId, googleClientSecret, googleIssuer, oidcIssuer, oidcClientId, oidcClientSecret, oidcTitle,
        providerCAFile, frontendURLs,
    ]

    static let registration = TypedSetting<AccountSettings.Registration>.choice(
        "registration", standard: .invited,
        "Who may make an account: anybody, people with an organisation's invitation, or nobody but the owner.")
    static let adminName = TypedSetting.text(
        "admin-name", .text, standard: "admin", "The account that admin-password makes.")
    static let adminPassword = TypedSetting.optionalText(
        "admin-password", .text,
        "Makes an administrator with this password where there is none yet; then there is no setup link.",
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
        "Signing in with any OpenID Connect provider: its issuer, exactly as it spells it.")
    static let oidcClientId = TypedSetting.optionalText(
        "oidc-client-id", .text, "The client id there; its callback is PUBLIC-URL/auth/oidc/callback.")
    static let oidcClientSecret = TypedSetting.optionalText(
        "oidc-client-secret", .text, "The client secret there.", isSecret: true)
    static let oidcTitle = TypedSetting.text(
        "oidc-title", .text, standard: "OpenID", "What people know the provider as.")
    static let providerCAFile = TypedSetting.optionalText(
        "provider-ca-file", .path,
        "Root certificates of providers and the mail server, PEM, where the system does not know them.")
    static let frontendURLs = TypedSetting.list(
        "frontend-urls", .list, standard: "claudelander://",
        "Programs that may be given a token after a sign-in with a provider; the first is the one of those who name none."
    )
}
