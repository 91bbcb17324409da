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
/// failure. All names share one account, its limits, and one task: one order runs at a time.
final class DomainCertificates: Service, DomainCertificateOrders {
    /// The longest pause of the task, in seconds: a new domain waits no longer.
    private static let tickSeconds = 1

    private struct Kept {
        let keeper: ACMEKeeper
        let served: ServedDomain
        var round: ACMEKeeper.Round
        /// When there is something to do, in epoch seconds.
        var due = 0
        /// How near its end the certificate was when it was last said.
        var urgency = RenewalSchedule.Urgency.good
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
    private let ledger: ACMELedger
    private let state = Mutex(State())

    /// - Throws: `TLSError`, ``CommandFailure``.
    init(
        _ configuration: Configuration, store: ServerCertificates, answers: ChallengeAnswers, client: HTTPClient,
        delegated: DelegatedProver?, logger: Logger
    ) throws {
        var settings = try ACMESettings(configuration)
        if configuration[Settings.domainChallenge] == .dns {
            guard let delegated else { throw CommandFailure("domain-challenge is dns-01, but tunnel-acme is off") }
            settings.challenge = .dns
            settings.prover = delegated
        }
        self.settings = settings
        mayOrder = configuration[Settings.acmeAgree]
        directory = "\(configuration.stateDirectory)/domains"
        self.store = store
        self.answers = answers
        self.client = client
        self.logger = logger
        for path in [directory, "\(directory)/.account"] {
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw CommandFailure("cannot create \(path): \(String(cString: strerror(errno)))")
            }
        }
        ledger = try ACMELedger(directory: "\(directory)/.account")
    }

    func want(_ names: [String], generation: Int) {
        guard mayOrder else { return }
        let wanted = Set(names)
        state.withLock { state in
            guard !state.isStopped, generation > state.generation else { return }
            state.generation = generation
            for (name, one) in state.kept where !wanted.contains(name) {
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
        settings.ledger = ledger
        let store = self.store
        let served = ServedDomain()
        let keeper = try ACMEKeeper(settings, store: store, answers: answers, client: client, logger: logger) {
            try served.serve($0, name: name, store)
        }
        let pair = keeper.stored()
        if let pair { try served.serve(pair, name: name, store) }
        let round = keeper.begin()
        return Kept(keeper: keeper, served: served, round: round, due: keeper.firstDue(round, pair))
    }

    // MARK: Orders

    /// Does what is due, the earliest first.
    private func work() async {
        while !Task.isCancelled {
            let now = time(nil)
            let next = state.withLock { state in state.kept.min { $0.value.due < $1.value.due } }
            guard let (name, kept) = next, kept.due <= now else {
                // Cancelled when the server stops.
                try? await Task.sleep(for: .seconds(Self.tickSeconds))
                continue
            }
            var round = kept.round
            let due = await kept.keeper.step(&round) {}
            warn(name, kept)
            state.withLock { [round] state in
                // It may have been removed, and added again, meanwhile.
                guard let current = state.kept[name], current.keeper === kept.keeper else { return }
                state.kept[name]?.round = round
                state.kept[name]?.due = max(due, now + Self.tickSeconds)
            }
        }
    }

    /// Logs one line when a quarter of a certificate's lifetime is left, and one when a tenth is left.
    private func warn(_ name: String, _ kept: Kept) {
        guard let lifetime = kept.served.lifetime else { return }
        let urgency = RenewalSchedule.urgency(of: lifetime, now: time(nil))
        state.withLock { $0.kept[name]?.urgency = urgency }
        guard urgency != kept.urgency, urgency != .good else { return }
        let days = (lifetime.notAfter - time(nil)) / 86_400
        logger.log(
            level: urgency == .alarm ? .error : .warning,
            days < 0 ? "certificate of a domain expired" : "certificate of a domain expires soon",
            metadata: [
                "domain": "\(name)", "days": "\(days)", "problem": "\(kept.keeper.status.problem ?? "none")",
            ])
    }

    func status(of name: String) -> DomainCertificate? {
        guard let kept = state.withLock({ $0.kept[name] }) else {
            return mayOrder
                ? nil
                : DomainCertificate(
                    state: "none",
                    problem: "This server does not order certificates: its owner has not set acme-agree to yes.")
        }
        let notAfter = kept.served.lifetime?.notAfter
        let urgency = kept.served.lifetime.map { RenewalSchedule.urgency(of: $0, now: time(nil)) } ?? .good
        let level = urgency == .good ? 0 : urgency == .warning ? 1 : 2
        if let problem = kept.keeper.status.problem {
            return DomainCertificate(state: "failed", notAfter: notAfter, problem: problem, urgency: level)
        }
        return DomainCertificate(
            state: notAfter == nil ? "ordering" : "issued", notAfter: notAfter, urgency: level)
    }

    func counts() -> [String: Int] {
        let names = state.withLock { Array($0.kept.keys) }
        return names.reduce(into: [:]) { counts, name in
            guard let status = status(of: name) else { return }
            counts[status.urgency > 0 ? "ending" : status.state, default: 0] += 1
        }
    }

    /// The fingerprint of the certificate that is served for a name.
    func served(_ name: String) -> Fingerprint? { state.withLock { $0.kept[name]?.served.fingerprint } }

    func run() async throws {
        await cancelWhenGracefulShutdown { await self.work() }
        state.withLock { state in
            state.isStopped = true
            state.kept = [:]
        }
    }
}

/// The certificate that is served for a domain.
private final class ServedDomain: Sendable {
    private struct State {
        var lifetime: RenewalSchedule.Lifetime?
        var fingerprint: Fingerprint?
        /// An order that ends after the domain leads elsewhere is not served.
        var isEnded = false
    }

    private let state = Mutex(State())

    var lifetime: RenewalSchedule.Lifetime? { state.withLock { $0.lifetime } }
    var fingerprint: Fingerprint? { state.withLock { $0.fingerprint } }

    func serve(_ pair: CertificatePair, name: String, _ store: ServerCertificates) throws {
        try state.withLock { state in
            guard !state.isEnded else { return }
            try store.serve(pair, name: name)
            state.fingerprint = pair.leaf.fingerprint
            state.lifetime = .init(notBefore: pair.leaf.notBefore, notAfter: pair.leaf.notAfter)
        }
    }

    func end(name: String, _ store: ServerCertificates) {
        state.withLock { state in
            state.isEnded = true
            store.forget(name: name)
        }
    }
}
