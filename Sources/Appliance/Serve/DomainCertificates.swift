import CertificateAuthorities
import Files
import Glibc
import Logging
import Model
import Operations
import Outbound
import ServiceLifecycle
import Synchronization
import TransportSecurity

/// Keeps a certificate for each domain whose TLS ends here. Each name has its own order and its own delay after a
/// failure. All names share one account, and one order runs at a time.
final class DomainCertificates: Service, DomainCertificateOrders {
    private struct Kept {
        let keeper: ACMEKeeper
        let served: ServedDomain
        let task: Task<Void, Never>
    }

    private struct State {
        var kept: [String: Kept] = [:]
        var generation = 0
        var isStopped = false
    }

    private let settings: ACMESettings
    private let directory: String
    /// A label cannot begin with a dot: no domain has this directory.
    private var accountDirectory: String { "\(directory)/.account" }
    private let store: ServerCertificates
    private let answers: ChallengeAnswers
    private let client: HTTPClient
    private let logger: Logger
    /// False where the server's owner has not agreed to the authority's terms.
    private let mayOrder: Bool
    private let turn = ACMETurn()
    private let state = Mutex(State())

    /// - Throws: `TLSError`, ``CommandFailure``.
    init(
        _ configuration: Configuration, store: ServerCertificates, answers: ChallengeAnswers, client: HTTPClient,
        logger: Logger
    ) throws {
        settings = try ACMESettings(configuration)
        mayOrder = configuration[Settings.acmeAgree]
        directory = "\(configuration.stateDirectory)/domains"
        self.store = store
        self.answers = answers
        self.client = client
        self.logger = logger
        for path in [directory, accountDirectory] {
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw CommandFailure("cannot create \(path): \(String(cString: strerror(errno)))")
            }
        }
    }

    func want(_ names: [String], generation: Int) {
        guard mayOrder else { return }
        let wanted = Set(names)
        state.withLock { state in
            guard !state.isStopped, generation > state.generation else { return }
            state.generation = generation
            for (name, one) in state.kept where !wanted.contains(name) {
                one.task.cancel()
                one.served.end(name: name, store)
                state.kept[name] = nil
            }
            for name in wanted where state.kept[name] == nil {
                do { state.kept[name] = try begin(name) } catch {
                    logger.error(
                        "cannot manage a domain's certificate", metadata: ["domain": "\(name)", "problem": "\(error)"])
                }
            }
        }
    }

    private func begin(_ name: String) throws -> Kept {
        var settings = settings
        settings.names = [name]
        // A name has no slash.
        settings.stateDirectory = "\(directory)/\(name)"
        settings.accountDirectory = accountDirectory
        settings.turn = turn
        let store = self.store
        let served = ServedDomain()
        let keeper = try ACMEKeeper(settings, store: store, answers: answers, client: client, logger: logger) {
            try served.serve($0, name: name, store)
        }
        if let pair = keeper.stored() { try served.serve(pair, name: name, store) }
        // It throws only when it is cancelled.
        return Kept(keeper: keeper, served: served, task: Task { _ = try? await keeper.run {} })
    }

    func status(of name: String) -> DomainCertificate? {
        guard let kept = state.withLock({ $0.kept[name] }) else {
            return mayOrder
                ? nil
                : DomainCertificate(
                    state: "none",
                    problem: "This server does not order certificates: its owner has not set acme-agree to yes.")
        }
        let notAfter = kept.served.notAfter
        if let problem = kept.keeper.status.problem {
            return DomainCertificate(state: "failed", notAfter: notAfter, problem: problem)
        }
        return DomainCertificate(state: notAfter == nil ? "ordering" : "issued", notAfter: notAfter)
    }

    func run() async throws {
        try? await gracefulShutdown()
        let tasks = state.withLock { state in
            state.isStopped = true
            defer { state.kept = [:] }
            return state.kept.values.map(\.task)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}

/// The certificate that is served for a domain.
private final class ServedDomain: Sendable {
    private struct State {
        /// Epoch seconds.
        var notAfter: Int?
        /// An order that ends after the domain leads elsewhere is not served.
        var isEnded = false
    }

    private let state = Mutex(State())

    var notAfter: Int? { state.withLock { $0.notAfter } }

    func serve(_ pair: CertificatePair, name: String, _ store: ServerCertificates) throws {
        try state.withLock { state in
            guard !state.isEnded else { return }
            try store.serve(pair, name: name)
            state.notAfter = pair.leaf.notAfter
        }
    }

    func end(name: String, _ store: ServerCertificates) {
        state.withLock { state in
            state.isEnded = true
            store.forget(name: name)
        }
    }
}
