import CertificateAuthorities
import Database
import Glibc
import Model
import Storage
import TransportSecurity
import Web

/// What a server looks at before it starts, beside the configuration's own rules: files, and secrets that stand in the database.
/// Changes nothing.
enum Preflight {
    /// - Returns: every mistake, with where it stands.
    static func problems(_ configuration: Configuration) -> [String] {
        var problems: [String] = []
        func attempt(_ key: String, _ body: () throws -> Void) {
            do { try body() } catch let error as CommandFailure {
                problems.append(place(key, configuration) + error.message.text)
            } catch { problems.append(place(key, configuration) + "\(error)") }
        }
        if configuration[Settings.https] != .off {
            switch configuration[Settings.tlsMode] {
            case .files:
                attempt("tls-certificate") {
                    let files = CertificateFiles(configuration)
                    if let expired = files.expired(try files.read()) { throw CommandFailure("\(expired)") }
                }
            case .acme:
                attempt("acme-eab-hmac-key") { _ = try ACMESettings(configuration) }
                attempt("acme-ca-file") { try authorities(configuration[Settings.acmeCAFile]) }
            case .selfSigned: break
            }
        }
        attempt("provider-ca-file") { try authorities(configuration[Settings.providerCAFile]) }
        // Where the database may not be read nobody knows what is sealed in it.
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
                    + "\(setting.key) is set, and \(secret.key) is not; 'postern secret set \(secret.key)' takes it")
        }
        return problems
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
