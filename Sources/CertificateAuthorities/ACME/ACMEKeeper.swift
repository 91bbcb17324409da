import FoundationEssentials
import Glibc
public import Logging
public import Outbound
import Synchronization
public import TransportSecurity

/// Keeps an ACME certificate valid: orders a new one when it is due, serves it, and increases the delay after each
/// failure.
public final class ACMEKeeper: Sendable {
    /// The maximum interval between two checks of the clock and of requests, in seconds.
    private static let tickSeconds = 5
    /// The interval between two requests for renewal information, in seconds (RFC 9773, section 4.3: six hours if none
    /// is named).
    private static let renewalInfoSeconds = 6 * 3600

    private let settings: ACMESettings
    private let files: ACMEFiles
    private let store: ServerCertificates
    private let answers: ChallengeAnswers
    private let client: HTTPClient
    private let logger: Logger
    private let current: Mutex<RenewalStatus>
    private let serve: @Sendable (CertificatePair) throws -> Void

    /// - Parameter serve: presents a new certificate.
    /// - Throws: ``TLSError`` if the state directory cannot be used.
    public init(
        _ settings: ACMESettings, store: ServerCertificates, answers: ChallengeAnswers, client: HTTPClient,
        logger: Logger, serve: @escaping @Sendable (CertificatePair) throws -> Void
    ) throws(TLSError) {
        self.serve = serve
        self.client = client
        self.settings = settings
        self.store = store
        self.answers = answers
        self.logger = logger
        files = try ACMEFiles(directory: settings.stateDirectory, accountDirectory: settings.accountDirectory)
        let status = files.status() ?? RenewalStatus(doing: "starting", problem: nil, nextAttempt: 0, failures: 0)
        current = Mutex(status)
    }

    public var status: RenewalStatus { current.withLock { $0 } }

    /// The certificate of the last run, if it covers any of the current names. A name that was added waits for its
    /// order, and the others keep their certificate.
    public func stored() -> CertificatePair? {
        guard let pair = files.certificate(), settings.names.contains(where: pair.leaf.matches) else { return nil }
        return pair
    }

    /// The stored certificate, if it covers all current names. Otherwise a new one is due.
    private func complete() -> CertificatePair? {
        guard let pair = files.certificate(), settings.names.allSatisfy(pair.leaf.matches) else { return nil }
        return pair
    }

    /// What a keeper remembers between two steps.
    public struct Round: Sendable {
        fileprivate var schedule: RenewalSchedule
        fileprivate var nextRenewalInfo = 0
        /// The authority takes renewals apart from new orders (RFC 9773).
        fileprivate var knowsRenewals = false
    }

    /// Runs until its task is cancelled.
    /// - Parameter onServed: called when another certificate is in force, before the change is announced.
    public func run(onServed: @Sendable () -> Void) async throws {
        var round = begin()
        while !Task.isCancelled {
            _ = await step(&round, onServed: onServed)
            try await Task.sleep(for: .seconds(Self.tickSeconds))
        }
    }

    /// Reads what the last run has left.
    public func begin() -> Round {
        let known = status
        // A failure for other names does not apply to the current names.
        let isForThese = known.names == nil || known.names == settings.names
        let schedule =
            isForThese && known.failures > 0
            ? RenewalSchedule(failures: known.failures, earliestAttempt: known.nextAttempt) : RenewalSchedule()
        if !isForThese {
            update {
                $0 = RenewalStatus(
                    doing: "starting", problem: nil, lastAttempt: $0.lastAttempt, nextAttempt: 0, failures: 0,
                    names: settings.names)
            }
        }
        return Round(schedule: schedule)
    }

    /// When the first step is due, in epoch seconds. Steps of thousands of names are spread over the time between two
    /// requests for renewal information.
    /// - Parameter pair: the certificate that ``stored()`` returned.
    public func firstDue(_ round: Round, _ pair: CertificatePair?) -> Int {
        guard let pair, settings.names.allSatisfy(pair.leaf.matches) else { return 0 }
        return min(
            round.schedule.next(for: Self.lifetime(pair)), time(nil) + Int.random(in: 0..<Self.renewalInfoSeconds))
    }

    /// Does what is due now: asks for renewal information, and orders a certificate.
    /// - Returns: when there is something to do next, in epoch seconds.
    public func step(_ round: inout Round, onServed: @Sendable () -> Void) async -> Int {
        let now = time(nil)
        let pair = complete()
        if let pair, now >= round.nextRenewalInfo {
            round.nextRenewalInfo = now + Self.renewalInfoSeconds
            round.knowsRenewals = await consult(about: pair.leaf, &round.schedule, &round.nextRenewalInfo)
        }
        if files.takeRenewalRequest() { round.schedule.requestNow() }
        if now >= round.schedule.next(for: Self.lifetime(pair)),
            await mayOrder(&round.schedule, isRenewal: pair != nil && round.knowsRenewals)
        {
            await attempt(&round.schedule, replacing: pair?.leaf, onServed)
            round.nextRenewalInfo = 0
        }
        let after = complete()
        let next = round.schedule.next(for: Self.lifetime(after))
        announce(next: next)
        return after == nil ? next : min(next, round.nextRenewalInfo)
    }

    private static func lifetime(_ pair: CertificatePair?) -> RenewalSchedule.Lifetime? {
        pair.map { .init(notBefore: $0.leaf.notBefore, notAfter: $0.leaf.notAfter) }
    }

    /// Whether the authority's limits leave room for an order. If not, the status says why.
    private func mayOrder(_ schedule: inout RenewalSchedule, isRenewal: Bool) async -> Bool {
        guard let ledger = settings.ledger else { return true }
        for name in settings.names {
            guard let wait = await ledger.wait(for: name, isRenewal: isRenewal) else { continue }
            schedule.postpone(until: wait.until)
            let next = schedule.earliestAttempt
            update {
                $0.doing = "waiting for the authority's limits"
                // The failure that led here is more useful.
                if $0.failures == 0 { $0.problem = "\(wait.reason); the order continues by itself" }
                $0.nextAttempt = next
            }
            return false
        }
        return true
    }

    private func attempt(
        _ schedule: inout RenewalSchedule, replacing: Certificate?, _ onServed: @Sendable () -> Void
    ) async {
        let now = time(nil)
        update {
            $0.lastAttempt = now
            $0.names = settings.names
            // Set in the same step: a caller that waits for this attempt must not read the result of the last one.
            $0.doing = "contacting the certificate authority"
        }
        let issuance = ACMEIssuance(
            settings: settings, files: files, store: store, answers: answers, client: client
        ) { doing in
            self.logger.info("acme: \(doing)")
            self.update { $0.doing = doing }
        }
        do {
            let pair = try await issuance.run(replacing: replacing)
            try serve(pair)
            onServed()
            schedule.succeeded()
            update {
                $0.doing = "a certificate is in use"
                $0.problem = nil
                $0.failures = 0
            }
            logger.info("acme: new certificate", metadata: ["fingerprint": "\(pair.leaf.fingerprint)"])
        } catch is CancellationError {
            // The server is stopping. This is not a failure: the order continues at the next start.
        } catch {
            schedule.failed(now: time(nil), retryAfter: (error as? ACMEError)?.retryAfter)
            let failures = schedule.failures
            let next = schedule.earliestAttempt
            update {
                $0.doing = "waiting after a failure"
                $0.problem = "\(error)"
                $0.failures = failures
                $0.nextAttempt = next
            }
            logger.error(
                "acme: no certificate",
                metadata: ["problem": "\(error)", "nextAttemptInSeconds": "\(next - time(nil))"])
        }
    }

    /// Asks the authority when the certificate should be renewed (RFC 9773). Without a response, it is renewed when a
    /// third of its lifetime is left.
    /// - Returns: whether the authority offers such information.
    private func consult(
        about certificate: Certificate, _ schedule: inout RenewalSchedule, _ next: inout Int
    ) async -> Bool {
        do {
            let connection = ACMEConnection(
                directoryURL: settings.directory, client: client, tls: try settings.tls(),
                key: try files.accountKey(), account: nil)
            guard let base = try await connection.directory().renewalInfo else { return false }
            let answer = try await connection.get("\(base)/\(RenewalIdentifier.text(of: certificate))")
            let window = try answer.value(ACMERenewalInfo.self).suggestedWindow
            guard let start = Self.seconds(window.start), let end = Self.seconds(window.end) else { return true }
            schedule.suggest(start: start, end: end, random: Double.random(in: 0..<1))
            if let seconds = answer.retryAfter { next = time(nil) + min(max(seconds, 60), 86400) }
            return true
        } catch {
            logger.debug("acme: no renewal information", metadata: ["error": "\(error)"])
            return false
        }
    }

    private static func seconds(_ text: String) -> Int? {
        (try? Date(text, strategy: .iso8601)).map { Int($0.timeIntervalSince1970) }
    }

    private func announce(next: Int) { if status.nextAttempt != next { update { $0.nextAttempt = next } } }

    private func update(_ change: (inout RenewalStatus) -> Void) {
        let changed = current.withLock { status -> RenewalStatus in
            change(&status)
            return status
        }
        do { try files.save(changed) } catch {
            logger.error("acme: cannot write the status", metadata: ["error": "\(error)"])
        }
    }
}
