import Database
import Identity
import Model
import NIOCore
import Operations
import Outbound
import Storage
import TransportSecurity
import Web

/// The sign-in providers and the mail server of the configuration. Secrets that are not in the configuration are read
/// from the database, where they are sealed.
struct ExternalServices {
    let providers: [any Provider]
    let mail: (any MailSender)?

    /// - Throws: ``CommandFailure``, `StorageError`, `TLSError`.
    init(
        _ configuration: Configuration, database: Database, client: HTTPClient, connector: Connector
    ) async throws {
        // The system's authorities need 3 MB. A server without external services does not load them.
        guard
            [Settings.githubClientId, Settings.googleClientId, Settings.oidcClientId, Settings.smtpHost].contains(
                where: { configuration[$0] != nil })
        else {
            providers = []
            mail = nil
            return
        }
        let sealed = try await database.read { try StoredSecret.all(in: $0) }
        let trust: TLSContext.Trust = configuration[Settings.providerCAFile].map { .authorities(file: $0) } ?? .system
        let tls = try TLSContext.client(trust: trust)
        func registration(
            _ id: TypedSetting<String?>, _ clientSecret: TypedSetting<String?>
        ) throws -> ProviderRegistration? {
            let (idKey, name) = (id.key, clientSecret.key)
            guard let id = configuration[id] else { return nil }
            guard let secret = configuration[clientSecret] ?? sealed[name] else {
                throw CommandFailure("\(idKey) is set, but \(name) is not; set it with 'postern secret set \(name)'")
            }
            return ProviderRegistration(clientId: id, clientSecret: secret)
        }
        var providers: [any Provider] = []
        if let github = try registration(Settings.githubClientId, Settings.githubClientSecret) {
            providers.append(
                GitHub(
                    github, url: configuration[Settings.githubURL],
                    apiURL: configuration[Settings.githubAPIURL],
                    client: client, tls: tls))
        }
        if let google = try registration(Settings.googleClientId, Settings.googleClientSecret) {
            providers.append(
                OpenIDProvider(
                    name: "google", title: "Google", issuer: configuration[Settings.googleIssuer], google,
                    client: client, tls: tls))
        }
        if let oidc = try registration(Settings.oidcClientId, Settings.oidcClientSecret) {
            guard let issuer = configuration[Settings.oidcIssuer] else {
                throw CommandFailure("oidc-client-id is set, but oidc-issuer is not")
            }
            providers.append(
                OpenIDProvider(
                    name: "oidc", title: configuration[Settings.oidcTitle], issuer: issuer, oidc,
                    client: client, tls: tls))
        }
        self.providers = providers
        mail = try Self.mail(
            configuration, password: configuration[Settings.smtpPassword] ?? sealed[Settings.smtpPassword.key], tls,
            connector)
    }

    private static func mail(
        _ configuration: Configuration, password: String?, _ tls: TLSContext, _ connector: Connector
    ) throws -> (any MailSender)? {
        guard let host = configuration[Settings.smtpHost] else { return nil }
        guard let from = configuration[Settings.smtpFrom], AccountRules.isEmail(from) else {
            throw CommandFailure("smtp-host is set, but smtp-from is not an address")
        }
        let security = configuration[Settings.smtpSecurity]
        var credentials: (user: String, password: String)?
        if let user = configuration[Settings.smtpUser] {
            guard let password else {
                throw CommandFailure(
                    "smtp-user is set, but smtp-password is not; set it with 'postern secret set smtp-password'")
            }
            credentials = (user, password)
        }
        return MailServer(
            client: SMTPClient(
                host: host, port: configuration[Settings.smtpPort],
                security: security,
                credentials: credentials, from: from, tls: tls, connector: connector))
    }
}

/// The mail server for accounts.
private struct MailServer: MailSender {
    let client: SMTPClient

    func send(to address: String, subject: String, text: String) async throws {
        try await client.send(to: address, subject: subject, text: text)
    }
}
