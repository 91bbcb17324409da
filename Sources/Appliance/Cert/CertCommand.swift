import ArgumentParser
import CertificateAuthorities
import Database
import Glibc
import Model
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
        commandName: "status", abstract: "Prints the certificates in use: names, fingerprint, days left, problems.",
        discussion: "Example: postern cert status --json | jq -r .fingerprint")

    private struct Status: Encodable {
        let mode, fingerprint, issuer, notAfter, urgency: String
        let names: [String]
        let daysLeft: Int
        let problem, doing, nextAttempt: String?
    }

    @Flag(help: "Print one JSON object for each certificate.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let configuration = try server.load()
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        for (index, report) in try Self.reports(configuration).enumerated() {
            if index > 0 && !json { Output.line("") }
            show(report)
        }
    }

    private func show(_ report: CertificateReport) {
        let facts = report.facts
        let days = report.daysLeft(now: time(nil))
        let end = ISOTime.text(milliseconds: Int64(facts.notAfter) * 1000)
        let next = report.renewal.map { ISOTime.text(milliseconds: Int64($0.nextAttempt) * 1000) }
        if json {
            let status = Status(
                mode: report.mode, fingerprint: facts.fingerprint.description, issuer: facts.issuer, notAfter: end,
                urgency: report.urgency.rawValue, names: facts.names, daysLeft: days, problem: report.problem,
                doing: report.renewal?.doing, nextAttempt: next)
            return Output.json(status)
        }
        Output.line("mode         \(report.mode)")
        Output.line("names        \(facts.names.joined(separator: ", "))")
        Output.line("issuer       \(facts.isSelfSigned ? "itself" : facts.issuer)")
        Output.line("fingerprint  \(facts.fingerprint)")
        Output.line(
            "valid until  \(end) (\(days) days)\(report.urgency == .good ? "" : "  \(report.urgency.rawValue)")")
        if let renewal = report.renewal { Output.line("renewal      \(renewal.doing); next check \(next ?? "")") }
        if let problem = report.problem { Output.line("problem      \(problem)") }
    }

    /// The certificates that the running server presents. The first is for clients that send no name. If no server
    /// runs, the certificates that the next start would present. Creates nothing: if there is no certificate yet, there
    /// is no report.
    /// - Throws: ``CommandFailure``, `TLSError`.
    static func reports(_ configuration: Configuration) throws -> [CertificateReport] {
        let mode = configuration[Settings.tlsMode]
        let now = Int(time(nil))
        let files = mode == .acme ? try ACMEFiles(directory: "\(configuration.stateDirectory)/acme") : nil
        let state = configuration.stateDirectory
        if try ServeLock.isTaken(stateDirectory: state), let served = ServedCertificates.read(stateDirectory: state) {
            return served.certificates.map {
                CertificateReport(mode: served.mode, $0, renewal: files?.status(), problem: served.problem, now: now)
            }
        }
        let pairs: [CertificatePair]
        switch mode {
        case .files: pairs = try CertificateFiles(configuration).read()
        case .acme, .selfSigned:
            pairs = try (files?.certificate() ?? SelfSigned.stored(configuration)).map { [$0] } ?? []
        }
        guard !pairs.isEmpty else { throw CommandFailure("there is no certificate yet; start the server once") }
        return pairs.map {
            CertificateReport(
                mode: mode.rawValue, CertificateFacts($0.leaf), renewal: files?.status(), problem: nil, now: now)
        }
    }
}

struct CertRenew: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew", abstract: "Orders a new certificate now, and waits for it.",
        discussion: "Example: postern cert renew --new-account-key")

    /// How long to wait for the running server, in seconds.
    private static let patience = 120

    @Flag(help: "Replace the account key at the certificate authority first.")
    var newAccountKey = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let configuration = try server.load()
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        guard configuration[Settings.tlsMode] == .acme else {
            throw CommandFailure(
                """
                tls-mode is \(configuration[Settings.tlsMode].rawValue): only acme orders certificates \
                (files are reloaded when they change; a self-signed certificate stays, because clients have pinned it)
                """)
        }
        let files = try ACMEFiles(directory: "\(configuration.stateDirectory)/acme")
        let before = files.status()?.lastAttempt
        if newAccountKey { try files.askForRollover() }
        try files.askForRenewal()
        guard try ServeLock.isTaken(stateDirectory: configuration.stateDirectory) else {
            return Output.line("The server is not running; it will order a certificate when it starts.")
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
            if status.doing == "a certificate is in use" { return Output.line("A new certificate is in use.") }
        }
        throw CommandFailure("still in progress; 'postern cert status' shows its state", status: 75)
    }
}
