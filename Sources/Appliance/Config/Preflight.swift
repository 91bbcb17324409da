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
        if configuration.address("https") != .off {
            switch configuration.text("tls-mode") {
            case "files":
                attempt("tls-certificate") {
                    let files = CertificateFiles(configuration)
                    if let expired = files.expired(try files.read()) { throw CommandFailure("\(expired)") }
                }
            case "acme":
                attempt("acme-eab-hmac-key") { _ = try ACMESettings(configuration) }
                attempt("acme-ca-file") { try authorities(configuration.text("acme-ca-file")) }
            default: break
            }
        }
        attempt("provider-ca-file") { try authorities(configuration.text("provider-ca-file")) }
        // Where the database may not be read nobody knows what is sealed in it.
        let database = "\(configuration.stateDirectory)/\(Database.fileName)"
        if access(database, F_OK) == 0 && access(database, R_OK) != 0 { return problems }
        let sealed = StoredSecret.names(stateDirectory: configuration.stateDirectory)
        for (key, secret) in [
            ("github-client-id", "github-client-secret"), ("google-client-id", "google-client-secret"),
            ("oidc-client-id", "oidc-client-secret"), ("smtp-user", "smtp-password"),
        ]
        where configuration.text(key) != nil && configuration.text(secret) == nil && !sealed.contains(secret)
            && (key != "smtp-user" || configuration.text("smtp-host") != nil)
        {
            problems.append(
                place(key, configuration)
                    + "\(key) is set, and \(secret) is not; 'postern secret set \(secret)' takes it")
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
