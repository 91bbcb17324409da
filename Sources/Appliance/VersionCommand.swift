import ArgumentParser
import CSQLite
import CYAML
import COpenSSL
import Model

/// `postern version`: what this binary is made of. Security notices name the libraries that are linked in.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version, and those of the libraries inside.",
        discussion: "Example: postern version --json")

    private struct Versions: Encodable { let postern, openssl, sqlite, libyaml: String }

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() {
        let openssl = String(cString: OpenSSL_version(OPENSSL_VERSION))
        let sqlite = String(cString: sqlite3_libversion())
        let libyaml = String(cString: yaml_get_version_string())
        if json {
            return Output.json(
                Versions(postern: Postern.version, openssl: openssl, sqlite: sqlite, libyaml: libyaml))
        }
        Output.line("postern \(Postern.version)\n\(openssl)\nSQLite \(sqlite)\nlibyaml \(libyaml)")
    }
}
