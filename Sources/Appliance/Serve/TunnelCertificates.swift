import Database
import Glibc
import Logging
import Model
import ServiceLifecycle
import Synchronization
import TransportSecurity

/// Shows the wildcard certificate of the tunnel domain, and takes new contents of its files.
final class TunnelCertificates: Service {
    /// Between two looks at the files, in seconds: a renewal hook need not tell us.
    private static let watchSeconds = 5

    private let domain: String
    private let files: CertificateFiles?
    private let store: ServerCertificates
    private let logger: Logger
    private let seen = Mutex<[Int]>([])

    /// - Throws: `TLSError`, ``CommandFailure``: a server that cannot read the files it was given does not start.
    init(_ configuration: Configuration, domain: String, store: ServerCertificates, logger: Logger) throws {
        self.domain = domain
        self.store = store
        self.logger = logger
        if let certificate = configuration[Settings.tunnelCertificate], let key = configuration[Settings.tunnelKey] {
            files = CertificateFiles(certificates: [certificate], keys: [key])
        } else {
            files = nil
        }
        // Until there is another one.
        try store.serve(SelfSigned.pair(configuration), below: domain)
        try load()
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                self.watch()
                try? await Task.sleep(for: .seconds(Self.watchSeconds))
            }
        }
    }

    private func watch() {
        guard let files, files.stamp != seen.withLock({ $0 }) else { return }
        do {
            try load()
            logger.info("certificate of the tunnel domain loaded", metadata: ["domain": "\(domain)"])
        } catch {
            logger.error(
                "the new certificate of the tunnel domain is not used; the old one stays",
                metadata: ["problem": "\(error)"])
        }
    }

    private func load() throws {
        guard let files else { return }
        // Remembered before it is read, so that a pair that is wrong is said once.
        seen.withLock { $0 = files.stamp }
        guard let pair = try files.read().first else { return }
        try store.serve(pair, below: domain)
    }
}
