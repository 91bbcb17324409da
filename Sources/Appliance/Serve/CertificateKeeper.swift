import Database
import Glibc
import Logging
import ServiceLifecycle
import Synchronization
import CertificateAuthorities
import Outbound
import TransportSecurity

/// Loads the certificates for `tls-mode` into the store, renews them, and warns when one is close to its expiry.
final class CertificateKeeper: Service {
    /// The interval between two checks of the files and the clock, in seconds: a renewal hook need not notify us.
    private static let watchSeconds = 5

    let store = ServerCertificates()
    private let configuration: Configuration
    private let mode: TLSMode
    private let logger: Logger
    private let acme: ACMEKeeper?
    private let client: HTTPClient
    private let state: Mutex<State>

    private struct State {
        var files: CertificateFiles
        var seen: [Int] = []
        var problem: String?
        var written: ServedCertificates?
        var urgency = RenewalSchedule.Urgency.good
    }

    /// Loads or creates the certificates: a server that has none does not start.
    /// - Throws: `TLSError`, ``CommandFailure``.
    init(
        _ configuration: Configuration, answers: ChallengeAnswers, client: HTTPClient, logger: Logger
    ) throws {
        self.client = client
        self.configuration = configuration
        self.logger = logger
        mode = configuration[Settings.tlsMode]
        state = Mutex(State(files: CertificateFiles(configuration)))
        let store = self.store
        acme =
            mode == .acme
            ? try ACMEKeeper(
                ACMESettings(configuration), store: store, answers: answers, client: client, logger: logger
            ) { try store.serve($0, servesAnyName: false) }
            : nil
        try open()
        recordServed()
    }

    private func open() throws {
        switch mode {
        case .files: try loadFiles()
        case .acme:
            if let pair = acme?.stored() { return try store.serve(pair, servesAnyName: false) }
            // Until the first certificate is issued, serve a self-signed one.
            try store.serve(SelfSigned.pair(configuration), servesAnyName: true)
        case .selfSigned:
            let pair = try SelfSigned.pair(configuration)
            if let missing = SelfSigned.missing(configuration, in: pair.leaf) {
                logger.warning("the certificate is missing names", metadata: ["problem": "\(missing)"])
            }
            try store.serve(pair, servesAnyName: true)
        }
    }

    func run() async throws {
        // A graceful shutdown cancels the wait. This is the normal end of this service.
        await cancelWhenGracefulShutdown {
            async let stapling: Void = self.staple()
            async let ordering: Void = self.order()
            async let watching: Void = self.watch()
            // These throw only if they are cancelled.
            _ = try? await (stapling, ordering, watching)
        }
    }

    /// All three run until they are cancelled: a service that returns stops the server.
    private func staple() async throws {
        if mode != .selfSigned { return try await OCSPKeeper(store: store, client: client, logger: logger).run() }
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    private func order() async throws {
        if let acme { return try await acme.run { self.recordServed() } }
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    private func watch() async throws {
        while true {
            reload(force: false)
            recordServed()
            warn()
            try await Task.sleep(for: .seconds(Self.watchSeconds))
        }
    }

    /// Reports for all served certificates. The first is for clients that send no name.
    var reports: [CertificateReport] {
        let problem = state.withLock { $0.problem }
        return store.current.map {
            CertificateReport(
                mode: mode.rawValue, CertificateFacts($0.leaf), renewal: acme?.status, problem: problem, now: time(nil))
        }
    }

    var report: CertificateReport? { CertificateReport.foremost(reports) }

    // MARK: The owner's side

    /// Writes the list of served certificates to the state directory, if it has changed.
    private func recordServed() {
        let served = state.withLock {
            ServedCertificates(
                mode: mode.rawValue, certificates: store.current.map { CertificateFacts($0.leaf) }, problem: $0.problem)
        }
        guard state.withLock({ $0.written }) != served else { return }
        do {
            try served.write(stateDirectory: configuration.stateDirectory)
            state.withLock { $0.written = served }
        } catch { logger.error("cannot write the list of served certificates", metadata: ["problem": "\(error)"]) }
    }

    /// Logs one line when a quarter of the lifetime is left, and one when a tenth is left.
    private func warn() {
        guard let report else { return }
        let before = state.withLock { state in
            defer { state.urgency = report.urgency }
            return state.urgency
        }
        guard report.urgency != before, report.urgency != .good else { return }
        let days = report.daysLeft(now: time(nil))
        logger.log(
            level: report.urgency == .alarm ? .error : .warning,
            days < 0 ? "certificate expired" : "certificate expires soon",
            metadata: ["days": "\(days)", "names": "\(report.facts.names.joined(separator: ","))"])
    }

    // MARK: Files

    /// The configuration was reloaded and may name other files now.
    func reload(_ configuration: Configuration) {
        state.withLock { $0.files = CertificateFiles(configuration) }
        reload(force: true)
        recordServed()
    }

    /// Loads files whose contents have changed. If a pair is invalid, the old ones stay in force.
    private func reload(force: Bool) {
        guard mode == .files else { return }
        let (files, seen) = state.withLock { ($0.files, $0.seen) }
        guard force || files.stamp != seen else { return }
        do {
            let before = fingerprints
            let isRefused = try loadFiles()
            if isRefused { refused(state.withLock { $0.problem } ?? "") }
            if isRefused && fingerprints == before { return }
            logger.info("certificate loaded", metadata: ["fingerprint": "\(fingerprints)"])
        } catch {
            state.withLock { $0.problem = "\(error)" }
            refused("\(error)")
        }
    }

    private func refused(_ problem: String) {
        logger.error("the new certificate is not used; the old one stays in use", metadata: ["problem": "\(problem)"])
    }

    private var fingerprints: String { store.current.map { "\($0.leaf.fingerprint)" }.joined(separator: ",") }

    /// - Returns: true if a pair in the files has expired and the still valid served pair was kept.
    @discardableResult
    private func loadFiles() throws -> Bool {
        let files = state.withLock { $0.files }
        // Stored before the files are read, so that an invalid pair is logged once and not every few seconds.
        state.withLock { $0.seen = files.stamp }
        let found = try files.read()
        let pairs = CertificateFiles.chosen(found, over: store.current, now: time(nil))
        try store.serve(pairs, servesAnyName: pairs.allSatisfy { $0.leaf.names.isEmpty })
        state.withLock { $0.problem = files.expired(found) }
        return zip(found, pairs).contains { $0.leaf !== $1.leaf }
    }
}

extension ACMESettings {
    /// - Throws: `TLSError`.
    init(_ configuration: Configuration) throws {
        self.init(
            directory: configuration[Settings.acmeDirectory], names: configuration[Settings.tlsNames],
            email: configuration[Settings.acmeEmail],
            challenge: configuration[Settings.acmeChallenge].challenge,
            authorities: configuration[Settings.acmeCAFile],
            stateDirectory: "\(configuration.stateDirectory)/acme")
        if let id = configuration[Settings.acmeEABKeyId], let key = configuration[Settings.acmeEABHMACKey] {
            try bind(keyId: id, hmacKey: key)
        }
    }
}
