import ArgumentParser
import CSQLite
import CYAML
import COpenSSL
import Model
import Web

/// `postern version`: the components of this binary. Security notices name the linked libraries.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version, and those of the bundled libraries.",
        discussion: """
            Example: postern version --json
                     postern version --web

            With --web it prints the SHA-256 of every file that this build serves to browsers, so that a guest can compare it with \
            what the server sent.
            """)

    private struct Versions: Encodable { let postern, openssl, sqlite, libyaml: String }

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Print the digests of the files served to browsers instead.")
    var web = false

    private struct WebFiles: Encodable {
        let version: String
        let files: [String: String]
    }

    func run() {
        if web { return printWebFiles() }
        let openssl = String(cString: OpenSSL_version(OPENSSL_VERSION))
        let sqlite = String(cString: sqlite3_libversion())
        let libyaml = String(cString: yaml_get_version_string())
        if json {
            return Output.json(
                Versions(postern: Postern.version, openssl: openssl, sqlite: sqlite, libyaml: libyaml))
        }
        Output.line("postern \(Postern.version)\n\(openssl)\nSQLite \(sqlite)\nlibyaml \(libyaml)")
    }

    private func printWebFiles() {
        let files = BrowserFiles.all
        if json {
            let digests = Dictionary(uniqueKeysWithValues: files.files.map { ($0.name, $0.digest) })
            return Output.json(WebFiles(version: files.version, files: digests))
        }
        for file in files.files { Output.line("\(file.digest)  /web/\(files.version)/\(file.name)") }
    }
}
