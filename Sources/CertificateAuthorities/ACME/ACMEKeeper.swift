import FoundationEssentials
import Glibc
public import Logging
public import Outbound
import Synchronization
public import TransportSecurity

/// Keeps an ACME certificate in force: orders when it is due, serves what comes, waits longer after each failure.
public final class ACMEKeeper: Sendable {
    /// The longest sleep between two looks at the clock and at requests, in seconds.
    private static let tickSeconds = 5
    /// Between two questions for renewal information, in seconds (RFC 9773, section 4.3: six hours where none is named).
    private static let renewalInfoSeconds = 6 * 3600

    private let settings: ACMESettings
    private let files: ACMEFiles
    private let store: ServerCertificates
    private let answers: ChallengeAnswers
    private let client: HTTPClient
    private let logger: Logger
    private let current: Mutex<RenewalStatus>
    private let serve: @Sendable (CertificatePair) throws -> Void

    /// - Parameter serve: shows a new certificate.
    /// - Throws: ``TLSError`` when the state directory cannot be used.
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
        files = try ACMEFiles(directory: settings.stateDirectory)
        let status = files.status() ?? RenewalStatus(doing: "starting", problem: nil, nextAttempt: 0, failures: 0)
        current = Mutex(status)
    }

    public var status: RenewalStatus { current.withLock { $0 } }

    /// The certificate of the last run, if it is for any of today's names: a name that was added waits for its order, and the
    /// others do not lose what they have.
    public func stored() -> CertificatePair? {
        guard let pair = files.certificate(), settings.names.contains(where: pair.leaf.matches) else { return nil }
        return pair
    }

    /// The same, if it is for all of today's names; otherwise a new one is due.
    private func complete() -> CertificatePair? {
        guard let pair = files.certificate(), settings.names.allSatisfy(pair.leaf.matches) else { return nil }
        return pair
    }

    /// Runs until its task is cancelled.
    /// - Parameter onServed: called when another certificate is in force, before anybody hears of it.
    public func run(onServed: @Sendable () -> Void) async throws {
        let known = status
        // What failed for other names says nothing of today's.
        let isForThese = known.names == nil || known.names == settings.names
        var schedule =
            isForThese && known.failures > 0
            ? RenewalSchedule(failures: known.failures, earliestAttempt: known.nextAttempt) : RenewalSchedule()
        if !isForThese {
            update {
                $0 = RenewalStatus(
                    doing: "starting", problem: nil, lastAttempt: $0.lastAttempt, nextAttempt: 0, failures: 0,
                    names: settings.names)
            }
        }
        var nextRenewalInfo = 0
        while !Task.isCancelled {
            let now = time(nil)
            let pair = complete()
            let lifetime = pair.map {
                RenewalSchedule.Lifetime(notBefore: $0.leaf.notBefore, notAfter: $0.leaf.notAfter)
            }
            if let pair, now >= nextRenewalInfo {
                nextRenewalInfo = now + Self.renewalInfoSeconds
                await consult(about: pair.leaf, &schedule, &nextRenewalInfo)
            }
            if files.takeRenewalRequest() { schedule.requestNow() }
            if now >= schedule.next(for: lifetime) {
                await attempt(&schedule, replacing: pair?.leaf, onServed)
                nextRenewalInfo = 0
            }
            announce(
                next: schedule.next(
                    for: complete().map { .init(notBefore: $0.leaf.notBefore, notAfter: $0.leaf.notAfter) }))
            try await Task.sleep(for: .seconds(Self.tickSeconds))
        }
    }

    private func attempt(
        _ schedule: inout RenewalSchedule, replacing: Certificate?, _ onServed: @Sendable () -> Void
    ) async {
        let now = time(nil)
        update {
            $0.lastAttempt = now
            $0.names = settings.names
            // In the same breath: who waits for this attempt must not take the last one's outcome for its own.
            $0.doing = "asking the certificate authority"
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
                $0.doing = "a certificate is in force"
                $0.problem = nil
                $0.failures = 0
            }
            logger.info("acme: new certificate", metadata: ["fingerprint": "\(pair.leaf.fingerprint)"])
        } catch is CancellationError {
            // The server stops; the order is taken up again at the next start, and nobody has failed.
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

    /// Asks when the authority would like to be asked (RFC 9773). No answer leaves the rule of the third.
    private func consult(about certificate: Certificate, _ schedule: inout RenewalSchedule, _ next: inout Int) async {
        do {
            let trust: TLSContext.Trust = settings.authorities.map { .authorities(file: $0) } ?? .system
            let connection = ACMEConnection(
                directoryURL: settings.directory, client: client, tls: try TLSContext.client(trust: trust),
                key: try files.accountKey(), account: nil)
            guard let base = try await connection.directory().renewalInfo else { return }
            let answer = try await connection.get("\(base)/\(RenewalIdentifier.text(of: certificate))")
            let window = try answer.value(ACMERenewalInfo.self).suggestedWindow
            guard let start = Self.seconds(window.start), let end = Self.seconds(window.end) else { return }
            schedule.suggest(start: start, end: end, random: Double.random(in: 0..<1))
            if let seconds = answer.retryAfter { next = time(nil) + min(max(seconds, 60), 86400) }
        } catch {
            logger.debug("acme: no renewal information", metadata: ["error": "\(error)"])
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
            logger.error("acme: the status cannot be written", metadata: ["error": "\(error)"])
        }
    }
}
