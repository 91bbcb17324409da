import Database
import Identity
import Model
import NIOCore
import Operations
import Outbound
import Storage
import TransportSecurity
import Web

/// The other servers that this one may speak to: providers of sign-ins, and a mail server. From the configuration, with secrets that
/// stand sealed in the database where it has none.
struct OtherServers {
    let providers: [any Provider]
    let mail: (any MailSender)?

    /// - Throws: ``CommandFailure``, `StorageError`, `TLSError`.
    init(
        _ configuration: Configuration, database: Database, client: HTTPClient, group: any EventLoopGroup
    ) async throws {
        // The system's authorities take 3 MB; a server that speaks to nobody does not load them.
        guard
            ["github-client-id", "google-client-id", "oidc-client-id", "smtp-host"].contains(where: {
                configuration.text($0) != nil
            })
        else {
            providers = []
            mail = nil
            return
        }
        let sealed = try await database.read { try StoredSecret.all(in: $0) }
        let trust: TLSContext.Trust = configuration.text("provider-ca-file").map { .authorities(file: $0) } ?? .system
        let tls = try TLSContext.client(trust: trust)
        func registration(_ prefix: String) throws -> ProviderRegistration? {
            guard let id = configuration.text("\(prefix)-client-id") else { return nil }
            let name = "\(prefix)-client-secret"
            guard let secret = configuration.text(name) ?? sealed[name] else {
                throw CommandFailure(
                    "\(prefix)-client-id is set, and \(name) is not; 'postern secret set \(name)' takes it")
            }
            return ProviderRegistration(clientId: id, clientSecret: secret)
        }
        var providers: [any Provider] = []
        if let github = try registration("github") {
            providers.append(
                GitHub(
                    github, url: configuration.text("github-url") ?? "",
                    apiURL: configuration.text("github-api-url") ?? "",
                    client: client, tls: tls))
        }
        if let google = try registration("google") {
            providers.append(
                OpenIDProvider(
                    name: "google", title: "Google", issuer: configuration.text("google-issuer") ?? "", google,
                    client: client, tls: tls))
        }
        if let oidc = try registration("oidc") {
            guard let issuer = configuration.text("oidc-issuer") else {
                throw CommandFailure("oidc-client-id is set, and oidc-issuer is not")
            }
            providers.append(
                OpenIDProvider(
                    name: "oidc", title: configuration.text("oidc-title") ?? "", issuer: issuer, oidc,
                    client: client, tls: tls))
        }
        self.providers = providers
        mail = try Self.mail(
            configuration, password: configuration.text("smtp-password") ?? sealed["smtp-password"], tls, group)
    }

    private static func mail(
        _ configuration: Configuration, password: String?, _ tls: TLSContext, _ group: any EventLoopGroup
    ) throws -> (any MailSender)? {
        guard let host = configuration.text("smtp-host") else { return nil }
        guard let from = configuration.text("smtp-from"), AccountRules.isEmail(from) else {
            throw CommandFailure("smtp-host is set, and smtp-from is no address")
        }
        let security = configuration.text("smtp-security").flatMap { SMTPClient.Security(rawValue: $0) } ?? .startTLS
        var credentials: (user: String, password: String)?
        if let user = configuration.text("smtp-user") {
            guard let password else {
                throw CommandFailure(
                    "smtp-user is set, and smtp-password is not; 'postern secret set smtp-password' takes it")
            }
            credentials = (user, password)
        }
        return MailServer(
            client: SMTPClient(
                host: host, port: configuration.number("smtp-port"),
                security: security,
                credentials: credentials, from: from, tls: tls, group: group))
    }
}

/// The mail server, as accounts use it.
private struct MailServer: MailSender {
    let client: SMTPClient

    func send(to address: String, subject: String, text: String) async throws {
        try await client.send(to: address, subject: subject, text: text)
    }
}
