import CertificateAuthorities
import Database
import Glibc
import Model
import Outbound
import Storage
import TransportSecurity
import Web

/// The checks of a server before it starts, in addition to the configuration's own rules: files, and secrets in the
/// database. Changes nothing.
enum Preflight {
    /// - Returns: all mistakes, with their locations.
    static func problems(_ configuration: Configuration) -> [String] {
        certificates(configuration) + others(configuration)
    }

    /// Problems with the files of certificates and keys.
    static func certificates(_ configuration: Configuration) -> [String] {
        var problems: [String] = []
        if configuration[Settings.https] != .off && configuration[Settings.tlsMode] == .files {
            problems += attempt("tls-certificate", configuration) {
                let files = CertificateFiles(configuration)
                if let expired = files.expired(try files.read()) { throw CommandFailure("\(expired)") }
            }
        }
        if let certificate = configuration[Settings.tunnelCertificate], let key = configuration[Settings.tunnelKey] {
            problems += attempt("tunnel-certificate", configuration) {
                let files = CertificateFiles(certificates: [certificate], keys: [key])
                let pairs = try files.read()
                if let expired = files.expired(pairs) { throw CommandFailure("\(expired)") }
                guard let domain = configuration[Settings.tunnelDomain], let pair = pairs.first else { return }
                guard pair.leaf.matches(name: "x.\(domain)") else {
                    throw CommandFailure("\(certificate) is not for *.\(domain)")
                }
            }
        }
        return problems
    }

    private static func attempt(_ key: String, _ configuration: Configuration, _ body: () throws -> Void) -> [String] {
        do {
            try body()
            return []
        } catch let error as CommandFailure {
            return [place(key, configuration) + error.message.text]
        } catch { return [place(key, configuration) + "\(error)"] }
    }

    /// All other problems.
    static func others(_ configuration: Configuration) -> [String] {
        var problems: [String] = []
        func attempt(_ key: String, _ body: () throws -> Void) { problems += self.attempt(key, configuration, body) }
        if configuration[Settings.https] != .off && configuration[Settings.tlsMode] == .acme {
            attempt("acme-eab-hmac-key") { _ = try ACMESettings(configuration) }
            attempt("acme-ca-file") { try authorities(configuration[Settings.acmeCAFile]) }
        }
        if configuration[Settings.tunnelACME] == .hook, let hook = configuration[Settings.tunnelDNSHook] {
            attempt("tunnel-dns-hook") {
                guard access(hook, X_OK) == 0 else {
                    throw CommandFailure(
                        "\(hook): \(String(cString: strerror(errno)).lowercased()); it must be an executable program")
                }
            }
        }
        attempt("provider-ca-file") { try authorities(configuration[Settings.providerCAFile]) }
        // If the database cannot be read, it is unknown which secrets are sealed in it.
        let database = "\(configuration.stateDirectory)/\(Database.fileName)"
        if access(database, F_OK) == 0 && access(database, R_OK) != 0 { return problems }
        let sealed = StoredSecret.names(stateDirectory: configuration.stateDirectory)
        for (setting, secret) in [
            (Settings.githubClientId, Settings.githubClientSecret),
            (Settings.googleClientId, Settings.googleClientSecret), (Settings.oidcClientId, Settings.oidcClientSecret),
            (Settings.smtpUser, Settings.smtpPassword),
        ]
        where configuration[setting] != nil && configuration[secret] == nil && !sealed.contains(secret.key)
            && (setting.key != Settings.smtpUser.key || configuration[Settings.smtpHost] != nil)
        {
            problems.append(
                place(setting.key, configuration)
                    + "\(setting.key) is set, but \(secret.key) is not; set it with 'postern secret set \(secret.key)'")
        }
        return problems
    }

    /// Settings that are allowed but should be improved.
    static func advice(_ configuration: Configuration) -> [String] {
        guard let domain = configuration[Settings.tunnelDomain] else { return [] }
        let own =
            configuration[Settings.publicURL].flatMap { WebAddress($0, scheme: "https")?.host }
            ?? configuration[Settings.tlsNames].first { !$0.hasPrefix("*") }
        guard let own, let registered = registrable(own.lowercased()), registered == registrable(domain) else {
            return []
        }
        return [
            "tunnel-domain \(domain) and this server's own name \(own) are both below \(registered): pages in tunnels can use up "
                + "the cookies that browsers send to the server. Use a second domain, and add it to the Public Suffix List before "
                + "strangers can open tunnels"
        ]
    }

    /// An estimate of the registered part of a name: two labels, or three below a country's co, com, org and similar.
    private static func registrable(_ name: String) -> String? {
        let labels = name.split(separator: ".")
        guard labels.count >= 2 else { return nil }
        let isCountry = labels[labels.count - 1].count == 2 && labels[labels.count - 2].count <= 3
        return labels.suffix(isCountry && labels.count > 2 ? 3 : 2).joined(separator: ".")
    }

    private static func authorities(_ file: String?) throws {
        guard let file else { return }
        do { _ = try TLSContext.client(trust: .authorities(file: file)) } catch {
            throw CommandFailure("\(file): \(error)")
        }
    }

    private static func place(_ key: String, _ configuration: Configuration) -> String {
        guard let source = configuration[key]?.source, source != "default" else { return "" }
        return "\(source): "
    }
}
