import Glibc
import Logging
import ServiceLifecycle
import Storage
import Synchronization
import TransportSecurity

/// Gets the certificate that `tls-mode` asks for into the store, and keeps it fresh.
final class CertificateKeeper: Service {
    /// Between two looks at certificate files, in seconds: a renewal hook need not tell us.
    private static let watchSeconds = 5
    /// Certificate files are a few KiB, in bytes.
    private static let fileLimit = 1 << 20

    let store = CertificateStore()
    private let configuration: Configuration
    private let mode: String
    private let logger: Logger
    private let acme: ACMEKeeper?
    private let state: Mutex<State>

    private struct State {
        var files: (certificate: String, key: String)
        var seen: FileStamp?
        var problem: String?
    }

    /// Loads or makes the certificate: a server that cannot show one does not start.
    /// - Throws: `TLSError`, ``CommandFailure``.
    init(_ configuration: Configuration, answers: ChallengeAnswers, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        mode = configuration.text("tls-mode") ?? ""
        state = Mutex(
            State(files: (configuration.text("tls-certificate") ?? "", configuration.text("tls-key") ?? "")))
        switch mode {
        case "files": acme = nil
        case "acme":
            let settings = try ACMESettings(configuration)
            acme = try ACMEKeeper(settings, store: store, answers: answers, logger: logger)
        default: acme = nil
        }
        try open()
    }

    private func open() throws {
        switch mode {
        case "files": try loadFiles()
        case "acme":
            if let pair = acme?.stored() { return try store.serve(pair, servesAnyName: false) }
            // Until the first one is there people get a certificate that nobody vouches for, instead of silence.
            try store.serve(SelfSigned.pair(configuration), servesAnyName: true)
        default: try store.serve(SelfSigned.pair(configuration), servesAnyName: true)
        }
    }

    func run() async throws {
        // A graceful shutdown cancels the wait, and that is the good end of this service.
        await cancelWhenGracefulShutdown {
            do {
                async let stapling: Void = self.staple()
                async let renewing: Void = self.renew()
                _ = try await (stapling, renewing)
            } catch is CancellationError {
            } catch { self.logger.error("the certificate keeper stopped", metadata: ["error": "\(error)"]) }
        }
    }

    /// Both run until they are cancelled: a service that returns ends the server.
    private func staple() async throws {
        if mode != "self-signed" { return try await OCSPKeeper(store: store, logger: logger).run() }
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    private func renew() async throws {
        if let acme { return try await acme.run() }
        while true {
            try await Task.sleep(for: .seconds(Self.watchSeconds))
            reload(force: false)
        }
    }

    var report: CertificateReport? {
        guard let pair = store.current else { return nil }
        let problem = state.withLock { $0.problem }
        return CertificateReport(mode: mode, pair.leaf, renewal: acme?.status, problem: problem, now: time(nil))
    }

    // MARK: Files

    /// The configuration was read again: other files may be meant now.
    func reload(_ configuration: Configuration) {
        state.withLock {
            $0.files = (configuration.text("tls-certificate") ?? "", configuration.text("tls-key") ?? "")
        }
        reload(force: true)
    }

    /// Takes the files' new contents where they changed. A pair that does not fit leaves the old one in force.
    func reload(force: Bool) {
        guard mode == "files" else { return }
        let (files, seen) = state.withLock { ($0.files, $0.seen) }
        guard force || FileStamp(of: [files.certificate, files.key]) != seen else { return }
        do {
            try loadFiles()
            logger.info(
                "certificate loaded", metadata: ["fingerprint": "\(store.current?.leaf.fingerprint.description ?? "")"])
        } catch {
            state.withLock { $0.problem = "\(error)" }
            logger.error("the new certificate is not used; the old one stays", metadata: ["problem": "\(error)"])
        }
    }

    private func loadFiles() throws {
        let files = state.withLock { $0.files }
        let stamp = FileStamp(of: [files.certificate, files.key])
        // Remembered before it is read, so that a pair that is wrong is said once and not every few seconds.
        state.withLock { $0.seen = stamp }
        let pair = try CertificatePair(
            certificatePEM: Self.read(files.certificate), keyPEM: Self.read(files.key))
        if pair.leaf.notAfter < time(nil) {
            throw CommandFailure("the certificate in \(files.certificate) has expired; put a new one there")
        }
        try store.serve(pair, servesAnyName: pair.leaf.names.isEmpty)
        state.withLock { $0.problem = nil }
    }

    private static func read(_ path: String) throws -> String {
        switch TextFile.read(path, limit: fileLimit) {
        case .success(let text): return text
        case .failure(let error): throw CommandFailure("cannot read \(path): \(error.message)")
        }
    }
}

/// When files last changed.
private struct FileStamp: Equatable {
    private let parts: [Int]

    init(of paths: [String]) {
        parts = paths.flatMap { path -> [Int] in
            var found = stat()
            guard stat(path, &found) == 0 else { return [0] }
            return [found.st_mtim.tv_sec, found.st_mtim.tv_nsec, Int(found.st_ino), Int(found.st_size)]
        }
    }
}

extension ACMESettings {
    /// - Throws: `TLSError`.
    init(_ configuration: Configuration) throws {
        self.init(
            directory: configuration.text("acme-directory") ?? "", names: configuration.list("tls-names"),
            email: configuration.text("acme-email"),
            challenge: configuration.text("acme-challenge").flatMap(Challenge.init) ?? .http,
            authorities: configuration.text("acme-ca-file"),
            stateDirectory: "\(configuration.stateDirectory)/acme")
        if let id = configuration.text("acme-eab-key-id"), let key = configuration.text("acme-eab-hmac-key") {
            try bind(keyId: id, hmacKey: key)
        }
    }
}
