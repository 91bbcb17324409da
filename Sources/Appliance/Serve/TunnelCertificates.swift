import CertificateAuthorities
import Database
import Glibc
import Logging
import Model
import NIOCore
import Outbound
import ServiceLifecycle
import Synchronization
import Sockets
import TransportSecurity
import Web

/// Presents the wildcard certificate of the tunnel domain: from files, which are loaded again when they change, or from
/// an authority by dns-01. Names below the domain never have their own certificates: those would appear in public logs
/// before anybody opened the names.
final class TunnelCertificates: Service {
    /// The interval between two checks of the files, in seconds: a renewal hook need not notify us.
    private static let watchSeconds = 5

    private let domain: String
    private let files: CertificateFiles?
    private let keeper: ACMEKeeper?
    private let responder: DNSResponder?
    /// Puts proofs of domains below the tunnel domain's own. Nil if nothing does.
    let delegated: DelegatedProver?
    private let store: ServerCertificates
    private let logger: Logger
    private let seen = Mutex<[Int]>([])

    /// - Throws: `TLSError`, ``CommandFailure``: a server that cannot read its configured files does not start.
    init(
        _ configuration: Configuration, domain: String, store: ServerCertificates, answers: ChallengeAnswers,
        client: HTTPClient, group: any EventLoopGroup, logger: Logger
    ) async throws {
        self.domain = domain
        self.store = store
        self.logger = logger
        if let certificate = configuration[Settings.tunnelCertificate], let key = configuration[Settings.tunnelKey] {
            files = CertificateFiles(certificates: [certificate], keys: [key])
        } else {
            files = nil
        }
        let prover: (any NameProver)?
        switch configuration[Settings.tunnelACME] {
        case .off: (prover, responder) = (nil, nil)
        case .hook: (prover, responder) = (DNSHook(path: configuration[Settings.tunnelDNSHook] ?? ""), nil)
        case .responder:
            let made = try await Self.responder(configuration, domain, group)
            (prover, responder) = (made, made)
        }
        delegated = prover.map { DelegatedProver($0, zone: "_acme-challenge.\(domain)") }
        keeper = try prover.map { prover in
            var settings = try ACMESettings(configuration)
            settings.names = ["*.\(domain)"]
            settings.challenge = .dns
            settings.stateDirectory = "\(configuration.stateDirectory)/acme-tunnels"
            settings.prover = prover
            return try ACMEKeeper(settings, store: store, answers: answers, client: client, logger: logger) {
                try store.serve($0, below: domain)
            }
        }
        // Used until there is another certificate.
        try store.serve(keeper?.stored() ?? SelfSigned.pair(configuration), below: domain)
        try load()
    }

    private static func responder(
        _ configuration: Configuration, _ domain: String, _ group: any EventLoopGroup
    ) async throws -> DNSResponder {
        guard case .at(let host, let port) = configuration[Settings.tunnelDNS] else {
            throw CommandFailure("tunnel-acme is responder, but tunnel-dns is off")
        }
        let own = PublicAddress.configured(configuration, ListenerConfiguration.configured(configuration))
        let server = own.flatMap { WebAddress($0, scheme: "https")?.host } ?? HostName.own ?? "localhost"
        do {
            return try await DNSResponder.start(
                name: "_acme-challenge.\(domain)", server: server, host: host == "*" ? "::" : host, port: port,
                group: group)
        } catch { throw CommandFailure("tunnel-dns: \(host):\(port) cannot be opened: \(error)") }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            async let ordering: Void? = self.keeper?.run {}
            async let watching: Void = self.watch()
            // These throw only if they are cancelled.
            _ = try? await (ordering, watching)
        }
        responder?.close()
    }

    private func watch() async throws {
        while true {
            look()
            try await Task.sleep(for: .seconds(Self.watchSeconds))
        }
    }

    private func look() {
        guard let files, files.stamp != seen.withLock({ $0 }) else { return }
        do {
            try load()
            logger.info("certificate of the tunnel domain loaded", metadata: ["domain": "\(domain)"])
        } catch {
            logger.error(
                "the new certificate of the tunnel domain is not used; the old one stays in use",
                metadata: ["problem": "\(error)"])
        }
    }

    private func load() throws {
        guard let files else { return }
        // Stored before the files are read, so that an invalid pair is logged once.
        seen.withLock { $0 = files.stamp }
        guard let pair = try files.read().first else { return }
        try store.serve(pair, below: domain)
    }

    /// For the status page.
    var report: TunnelCertificateReport {
        TunnelCertificateReport(
            domain: domain, isTrusted: store.isTrusted(for: "x.\(domain)"), problem: keeper?.status.problem,
            notAfter: store.notAfter(for: "x.\(domain)"))
    }
}
