import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import TransportSecurity

/// The server's certificate, backups and settings.
struct AppliancePages: Sendable {
    let parts: WebParts

    func add(to routes: Routes) {
        routes.page(.get, "/administration/certificate", for: .administrator, use: certificate)
        routes.page(.get, "/administration/backups", for: .administrator, use: backups)
        routes.page(.post, "/administration/backups", for: .administrator, in: backups, use: backUp)
        routes.page(.get, "/administration/settings", for: .administrator, use: settings)
    }

    private static func time(_ seconds: Int) -> HTML { TimeText.html(Timestamp(milliseconds: Int64(seconds) * 1000)) }

    // MARK: Certificate

    @Sendable private func certificate(_ page: PageRequest) async throws -> Response {
        guard let report = parts.certificate() else {
            return page.page(
                "Certificate",
                Panel.empty(
                    "HTTPS is off",
                    "<p>This server serves plain HTTP; the reverse proxy in front of it has the certificate.</p>"))
        }
        let facts = report.facts
        let now = Int(Timestamp.now().milliseconds / 1000)
        let life = max(1, facts.notAfter - facts.notBefore)
        let left = max(0, facts.notAfter - now)
        let tone = report.urgency == .good ? "" : "warning"
        let problem: HTML = report.problem.map { Panel.notice("<p>\($0)</p>", .warning) } ?? ""
        var rows: [(String, HTML)] = [
            ("Names", "\(facts.names.joined(separator: ", "))"),
            (
                "Kind",
                facts.isSelfSigned ? "\(Badge.html("self-signed", .warning)) browsers show a warning" : "\(report.mode)"
            ),
            ("Issuer", "\(facts.issuer)"),
            (
                "Expires",
                "\(Self.time(facts.notAfter)), in \(left / 86_400) days\(Meter.bar(Double(left) / Double(life), tone))"
            ),
            ("SHA-256 fingerprint", Copyable.html("\(facts.fingerprint)")),
        ]
        if let renewal = report.renewal {
            rows.append(("Renewal", "\(renewal.doing)"))
            rows.append(("Next attempt", Self.time(renewal.nextAttempt)))
        }
        let help: HTML =
            facts.isSelfSigned
            ? """
            <p>Certificates that browsers trust are free: <a href="/docs/first-server">how to set up a server with a trusted
            certificate</a>.</p>
            """ : ""
        return page.page("Certificate", problem + Panel.html(nil, Panel.facts(rows)) + help)
    }

    // MARK: Backups

    @Sendable private func backups(_ page: PageRequest) async throws -> Response {
        let report = parts.backups()
        let problem: HTML = report.problem.map { Panel.notice("<p>\($0)</p>", .bad) } ?? ""
        let every = report.interval.map { "every \(DurationText.text($0))" } ?? "no automatic backups"
        let rows = report.files.map { file -> [HTML] in
            ["<code>\(file.name)</code>", Self.time(file.madeAt), "\(ByteText.text(file.bytes))"]
        }
        let table = Table(
            "Backups", ["File", .short("Created"), .number("Size")], rows,
            empty: "<p class=\"muted\">None yet. The first one is made within a minute of startup.</p>")
        let facts = Panel.facts([
            ("Schedule", "\(every)"), ("Directory", "<code>\(report.directory)</code>"),
            ("Restore", Copyable.html("sudo postern restore \(report.directory)/FILE")),
        ])
        return page.page(
            "Backups",
            problem + Panel.html(nil, facts)
                + Panel.html(
                    nil, table.html + Action("/administration/backups", "Back up now", page.token, isMain: true).html),
            lead: "Copies of the database on this machine. Copy them elsewhere, too, in case this disk fails."
        )
    }

    @Sendable private func backUp(_ page: PageRequest) async throws -> Response {
        do { try await parts.backUp() } catch {
            throw APIError(.conflict, "no_backup", "The backup failed: \(error)")
        }
        return page.back(to: "/administration/backups", "The backup is complete.")
    }

    // MARK: Settings

    @Sendable private func settings(_ page: PageRequest) async throws -> Response {
        let rows = parts.settings.map { one -> [HTML] in
            ["<code>\(one.key)</code>", one.value.map { "<code>\($0)</code>" } ?? "", "\(one.source)", "\(one.help)"]
        }
        return page.page(
            "Settings",
            Panel.html(nil, Table("Current settings", ["Setting", "Value", "Source", "Description"], rows).html),
            lead:
                "The settings that the server started with. Change /etc/postern/postern.yml on the machine, then run: sudo postern config check"
        )
    }
}

/// A setting as `postern config show` prints it.
public struct SettingInForce: Sendable {
    public let key: String
    /// Nil if it is not set. For a secret, only says that it is set.
    public let value: String?
    public let source, help: String

    public init(key: String, value: String?, source: String, help: String) {
        self.key = key
        self.value = value
        self.source = source
        self.help = help
    }
}
