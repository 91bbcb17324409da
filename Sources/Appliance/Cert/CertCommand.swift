import ArgumentParser
import Glibc
import NIOCore
import Storage
import TransportSecurity
import Wire

/// `postern cert …`
struct CertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cert", abstract: "Shows and renews the server's certificate.",
        discussion: "Example: postern cert status", subcommands: [CertStatus.self, CertRenew.self])
}

struct CertStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Prints the certificate in force: names, fingerprint, days left, problems.",
        discussion: "Example: postern cert status --json | jq -r .fingerprint")

    private struct Status: Encodable {
        let mode, fingerprint, issuer, notAfter, urgency: String
        let names: [String]
        let daysLeft: Int
        let problem, doing, nextAttempt: String?
    }

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let configuration = try server.load()
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        let report = try Self.report(configuration)
        let days = report.daysLeft(now: time(nil))
        let end = ISOTime.text(milliseconds: Int64(report.notAfter) * 1000)
        let next = report.renewal.map { ISOTime.text(milliseconds: Int64($0.nextAttempt) * 1000) }
        if json {
            let status = Status(
                mode: report.mode, fingerprint: report.fingerprint.description, issuer: report.issuer, notAfter: end,
                urgency: report.urgency.rawValue, names: report.names, daysLeft: days, problem: report.problem,
                doing: report.renewal?.doing, nextAttempt: next)
            return Output.line(String(buffer: JSONText.encode(status)))
        }
        Output.line("mode         \(report.mode)")
        Output.line("names        \(report.names.joined(separator: ", "))")
        Output.line("issuer       \(report.isSelfSigned ? "itself" : report.issuer)")
        Output.line("fingerprint  \(report.fingerprint)")
        Output.line(
            "good until   \(end) (\(days) days)\(report.urgency == .good ? "" : "  \(report.urgency.rawValue)")")
        if let renewal = report.renewal { Output.line("renewal      \(renewal.doing); next look \(next ?? "")") }
        if let problem = report.problem { Output.line("problem      \(problem)") }
    }

    /// What is on the disk, which is what the server serves.
    static func report(_ configuration: Configuration) throws -> CertificateReport {
        let mode = configuration.text("tls-mode") ?? ""
        let now = Int(time(nil))
        switch mode {
        case "acme":
            let files = try ACMEFiles(directory: "\(configuration.stateDirectory)/acme")
            let pair = try files.certificate() ?? SelfSigned.pair(configuration)
            return CertificateReport(mode: mode, pair.leaf, renewal: files.status(), problem: nil, now: now)
        case "files":
            let path = configuration.text("tls-certificate") ?? ""
            guard case .success(let text) = TextFile.read(path, limit: 1 << 20) else {
                throw CommandFailure("cannot read \(path)")
            }
            let leaf = try Certificate.chain(pem: text)[0]
            return CertificateReport(mode: mode, leaf, renewal: nil, problem: nil, now: now)
        default:
            let pair = try SelfSigned.pair(configuration)
            return CertificateReport(mode: mode, pair.leaf, renewal: nil, problem: nil, now: now)
        }
    }
}

struct CertRenew: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew", abstract: "Orders a new certificate now, and waits for it.",
        discussion: "Example: postern cert renew --new-account-key")

    /// How long to wait for the running server, in seconds.
    private static let patience = 120

    @Flag(help: "Replace the account's key at the authority first.")
    var newAccountKey = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let configuration = try server.load()
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        guard configuration.text("tls-mode") == "acme" else {
            throw CommandFailure(
                "tls-mode is \(configuration.text("tls-mode") ?? ""): only acme orders certificates "
                    + "(files are taken when they change; the self-signed one stays, because people have pinned it)")
        }
        let files = try ACMEFiles(directory: "\(configuration.stateDirectory)/acme")
        let before = files.status()?.lastAttempt
        if newAccountKey { try files.askForRollover() }
        try files.askForRenewal()
        guard try ServeLock.isTaken(stateDirectory: configuration.stateDirectory) else {
            return Output.line("The server does not run; it will order a certificate when it starts.")
        }
        var said = ""
        for _ in 0..<Self.patience {
            try await Task.sleep(for: .seconds(1))
            guard let status = files.status(), status.lastAttempt != before else { continue }
            if status.doing != said { Output.error("\(status.doing) …") }
            said = status.doing
            if let problem = status.problem, status.failures > 0, status.doing.hasPrefix("waiting") {
                throw CommandFailure("no certificate: \(problem)")
            }
            if status.doing == "a certificate is in force" { return Output.line("A new certificate is in force.") }
        }
        throw CommandFailure("still under way; 'postern cert status' says how far it is", status: 75)
    }
}
