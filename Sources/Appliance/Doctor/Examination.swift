import Database
import Glibc
import Model
import NIOPosix
import NIOCore
import NIOHTTP1
import Outbound
import Storage
import TransportSecurity

/// The result of one check.
struct Finding {
    let check: String
    let isGood: Bool
    /// If there is a problem, the sentence names the remedy.
    let text: String

    init(_ check: String, good text: String) { (self.check, isGood, self.text) = (check, true, text) }
    init(_ check: String, bad text: String) { (self.check, isGood, self.text) = (check, false, text) }
}

/// The checks of `postern doctor`. None changes anything.
enum Examination {
    /// A service that systemd could not start, with its last output.
    static func service(_ unit: ServiceUnit?) -> [Finding] {
        guard let unit, !["active", "reloading", "inactive"].contains(unit.state) else { return [] }
        let journal =
            Program.output("/usr/bin/journalctl", ["-u", ServiceUnit.name, "-n", "50", "-o", "cat", "--no-pager"]) ?? ""
        let said = journal.split(separator: "\n").last { line in
            ["postern: ", "level=error", "level=critical", "Failed at step"].contains { line.contains($0) }
        }
        return [
            Finding(
                "service",
                bad:
                    "\(ServiceUnit.name) is \(unit.state)\(said.map { ": \($0)" } ?? ""); full log: journalctl -u postern"
            )
        ]
    }

    static func configuration(_ configuration: Configuration, problems: [String]) -> [Finding] {
        guard problems.isEmpty else { return problems.map { Finding("configuration", bad: $0) } }
        return [
            Finding(
                "configuration", good: configuration.file.map { "\($0) has no mistakes" } ?? "no file; defaults apply")
        ]
    }

    static func files(_ configuration: Configuration) -> [Finding] {
        let directory = configuration.stateDirectory
        var found = Glibc.stat()
        guard stat(directory, &found) == 0 else {
            return [Finding("files", bad: "\(directory) does not exist; start the server once, or set state")]
        }
        var findings: [Finding] = []
        for name in ["", Database.fileName] + KeyFiles.names {
            let path = name.isEmpty ? directory : "\(directory)/\(name)"
            guard stat(path, &found) == 0 else { continue }
            if found.st_mode & 0o077 != 0 {
                let mode = name.isEmpty ? "700" : "600"
                findings.append(Finding("files", bad: "others can read \(path); chmod \(mode) \(path)"))
            }
        }
        return findings.isEmpty ? [Finding("files", good: "\(directory) is accessible only to its owner")] : findings
    }

    static func database(_ configuration: Configuration) -> [Finding] {
        let path = "\(configuration.stateDirectory)/\(Database.fileName)"
        guard access(path, F_OK) == 0 else {
            return [Finding("database", bad: "\(path) does not exist yet; start the server once")]
        }
        do {
            let checked = try Backup.check(path)
            let whole = Finding("database", good: "intact, version \(checked.version), \(checked.users) accounts")
            let problem = Keyring.problem(
                stateDirectory: configuration.stateDirectory, credential: Configuration.masterKeyCredential)
            return [
                whole,
                problem.map { Finding("keys", bad: $0) } ?? Finding("keys", good: "they match the database"),
            ]
                + checked.clashes.map {
                    Finding(
                        "names",
                        bad:
                            "\($0) differ only in capitals: another spelling selects one of them; disable the one that is not used (postern user disable)"
                    )
                }
        } catch { return [Finding("database", bad: (error as? StorageError)?.message ?? "\(error)")] }
    }

    static func disk(_ configuration: Configuration) -> [Finding] {
        guard let space = DiskSpace(of: configuration.stateDirectory) else { return [] }
        let reserve = configuration[Settings.diskReserveMiB]
        let free = space.freeBytes >> 20
        return [
            free < reserve
                ? Finding("disk", bad: "\(free) MiB free, and below \(reserve) writes are refused; free some space")
                : Finding("disk", good: "\(free) MiB free")
        ]
    }

    static func certificate(_ configuration: Configuration) -> [Finding] {
        guard configuration[Settings.https] != .off else { return [Finding("certificate", good: "https is off")] }
        do {
            let reports = try CertStatus.reports(configuration)
            guard let report = CertificateReport.foremost(reports) else { return [] }
            let days = report.daysLeft(now: time(nil))
            if let problem = report.problem { return [Finding("certificate", bad: "\(days) days left; \(problem)")] }
            if report.urgency != .good { return [Finding("certificate", bad: "only \(days) days left; renew it")] }
            if configuration[Settings.tlsMode] == .selfSigned, let pair = try SelfSigned.stored(configuration),
                let missing = SelfSigned.missing(configuration, in: pair.leaf)
            {
                return [Finding("certificate", bad: missing)]
            }
            return [Finding("certificate", good: "\(days) days left, \(reports[0].facts.fingerprint)")]
        } catch { return [Finding("certificate", bad: "\(error)")] }
    }

    /// Sends a request to the running server over its own listener.
    static func server(_ configuration: Configuration) async -> [Finding] {
        guard (try? ServeLock.isTaken(stateDirectory: configuration.stateDirectory)) == true else {
            return [Finding("server", bad: "is not running; 'systemctl start postern' or 'postern serve'")]
        }
        let isSecure = configuration[Settings.https] != .off
        // With systemd the sockets are its own. They use the standard ports.
        let standard = isSecure ? 443 : 80
        var places = [("127.0.0.1", standard)]
        if case .at(let host, let port) = configuration[isSecure ? Settings.https : Settings.http], port != 0 {
            places.insert((["*", "::", "0.0.0.0"].contains(host) ? "127.0.0.1" : host, port), at: 0)
        }
        // The port that the running server has stored: the flags it was started with are unknown here.
        if let kept = WebAddress(PublicAddress.known(configuration), scheme: isSecure ? "https" : "http"),
            !places.contains(where: { $0.1 == kept.port })
        {
            places.insert(("127.0.0.1", kept.port), at: 0)
        }
        for (host, port) in places {
            do {
                let tls =
                    isSecure
                    ? try CertStatus.reports(configuration).first.map {
                        try TLSContext.client(trust: .pinned($0.facts.fingerprint))
                    } : nil
                // Requests to this machine never use a proxy.
                let client = HTTPClient(
                    Connector(group: MultiThreadedEventLoopGroup.singleton, connectTimeout: .seconds(5)))
                let answer = try await client.exchange(
                    Endpoint(host: host, port: port, tls: tls),
                    HTTPRequest(.GET, "/ready", headers: ["Host": "localhost"], deadline: .seconds(5)))
                return [
                    answer.status == 200
                        ? Finding("server", good: "responds on port \(port)")
                        : Finding("server", bad: "is not ready: \(String(buffer: answer.body))")
                ]
            } catch { continue }
        }
        return [
            Finding(
                "server",
                bad: "is running but does not respond on port \(places.map { "\($0.1)" }.joined(separator: " or "))")
        ]
    }
}
