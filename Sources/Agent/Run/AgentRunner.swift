public import Client
package import Link
public import Logging
import Model
public import NIOCore
public import TransportSecurity
package import Wire

/// Keeps a link to the server open with the machine's key, serves the tunnels of `agent.yml`, and reports the state of
/// the machine. It belongs to one event loop.
public final class AgentRunner: LinkKeeperOwner {
    /// The interval between reports.
    private static let reportPause = TimeAmount.seconds(10)
    /// The interval between attempts for tunnels that the server refused.
    private static let retryPause = TimeAmount.seconds(60)
    /// The interval between attempts of a revoked machine: it may be admitted again later, and no person is there to
    /// restart it.
    private static let refusedPause = TimeAmount.seconds(300)
    /// Memory that all streams together may use, in bytes.
    private static let memoryBytes = 64 << 20

    /// The configuration at the start of the agent.
    public struct Configuration: Sendable {
        public var state: MachineState
        public var enrolment: MachineState.Enrolment
        public var key: CertificatePair
        public var settingsPath: String
        public var software: String
        /// Called with a line for `systemctl status` whenever something changes.
        public var onStatus: @Sendable (String) -> Void

        public init(
            state: MachineState, enrolment: MachineState.Enrolment, key: CertificatePair, settingsPath: String,
            software: String, onStatus: @escaping @Sendable (String) -> Void
        ) {
            self.state = state
            self.enrolment = enrolment
            self.key = key
            self.settingsPath = settingsPath
            self.software = software
            self.onStatus = onStatus
        }
    }

    private(set) var configuration: Configuration
    let loop: any EventLoop
    let logger: Logger
    let keeper: LinkKeeper
    var tunnels: [String: LiveDeclaration] = [:]
    /// Labels by tunnel id, to find the tunnel of a stream.
    var labels: [String: String] = [:]
    private(set) var onlineSince: Timestamp?
    private(set) var reason = "connecting"
    private var reportTimer: RepeatedTask?
    private var retryTimer: RepeatedTask?
    /// These wait until the server has answered for every tunnel.
    var settling: [EventLoopPromise<Void>] = []
    /// Mistakes in `agent.yml`.
    var problems: [String] = []
    /// The server's name for this machine.
    private(set) var name: String
    var isRekeying = false
    /// Whether the announced key, which was not used yet, is tried because the other one was refused.
    private var triesNextKey = false
    /// Whether the server's announced key is tried because the server has shown another key than the known one.
    private var triesNextLinkKey = false
    private let stopped: EventLoopPromise<Void>

    /// A tunnel of `agent.yml`, and its state.
    struct LiveDeclaration {
        enum State: Equatable {
            case waiting, online
            case failed(String)
            /// Stopped by somebody on the server.
            case stopped(String)

            var word: String {
                switch self {
                case .waiting: "waiting"
                case .online: "online"
                case .failed: "failed"
                case .stopped: "stopped"
                }
            }

            var problem: String? {
                switch self {
                case .waiting, .online: nil
                case .failed(let reason), .stopped(let reason): reason
                }
            }
        }

        var wanted: AgentTunnel
        /// Nil if the service could not be created yet.
        var service: TunnelRun.Service?
        var known: DeclaredTunnel?
        var state = State.waiting
    }

    /// - Throws: `TLSError`, ``ClientError``.
    public init(_ configuration: Configuration, loop: any EventLoop, logger: Logger) throws {
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        name = configuration.enrolment.name
        stopped = loop.makePromise(of: Void.self)
        let tls = try Self.context(configuration.enrolment, configuration.key)
        var link = LinkKeeper.Configuration(
            address: try configuration.enrolment.address(), tls: tls, token: nil, software: configuration.software)
        link.memoryBytes = Self.memoryBytes
        keeper = LinkKeeper(link, loop: loop)
        keeper.owner = self
    }

    static func context(_ enrolment: MachineState.Enrolment, _ key: CertificatePair) throws -> TLSContext {
        guard let pinned = Fingerprint(enrolment.linkKey) else {
            throw ClientError("the enrolment has no key of the server; run 'postern machine enroll' again")
        }
        return try TLSContext.linkClient(pinning: pinned, as: key)
    }

    /// - Returns: completes when the agent has stopped.
    public func start(_ settings: AgentSettings, problems: [String]) -> EventLoopFuture<Void> {
        take(settings, problems: problems)
        keeper.start()
        let bound = NIOLoopBound(self, eventLoop: loop)
        retryTimer = loop.scheduleRepeatedTask(initialDelay: Self.retryPause, delay: Self.retryPause) { _ in
            bound.value.retryFailed()
        }
        return stopped.futureResult
    }

    /// Ends the link and tells the server that the agent was stopped.
    public func stop() {
        reportTimer?.cancel()
        retryTimer?.cancel()
        keeper.stop(saying: "The agent was stopped.")
    }

    // MARK: The link

    package func linkUp(_ link: LinkHandler) {
        onlineSince = .now()
        if triesNextKey {
            triesNextKey = false
            // The old key is no longer valid.
            do { try configuration.state.takeNext() } catch {
                logger.error("the new key cannot be stored", metadata: ["error": "\(sentence(of: error))"])
            }
        }
        learnServerKey()
        logger.info(
            "connected", metadata: ["server": "\(configuration.enrolment.url)", "way": "\(keeper.way.rawValue)"])
        say()
        report()
        let bound = NIOLoopBound(self, eventLoop: loop)
        reportTimer?.cancel()
        reportTimer = loop.scheduleRepeatedTask(initialDelay: Self.reportPause, delay: Self.reportPause) { _ in
            bound.value.report()
        }
        for label in tunnels.keys.sorted() { declare(label) }
    }

    func report() {
        guard keeper.link != nil else { return }
        var call = LinkCall(.report)
        call.report = MachineVitals.report(
            directory: configuration.state.directory, tunnels: tunnels.values.count { $0.state == .online })
        keeper.call(call) { [weak self] answer in
            guard let self else { return }
            self.keeper.settled()
            if let name = answer.machine { self.name = name }
        }
    }

    package func linkLost(_ reason: String, retryIn wait: TimeAmount) {
        if onlineSince != nil || self.reason != reason {
            let seconds = max(1, wait.nanoseconds / 1_000_000_000)
            logger.warning("not connected", metadata: ["reason": "\(reason)", "retry": "\(seconds) s"])
        }
        self.reason = reason
        onlineSince = nil
        for promise in settling { promise.succeed() }
        settling = []
        reportTimer?.cancel()
        isRekeying = false
        for (label, tunnel) in tunnels where tunnel.state == .online { tunnels[label]?.state = .waiting }
        say()
    }

    package func linkRefused(_ reason: LinkGoAway) -> TimeAmount? {
        isRekeying = false
        // After a crash while the key was changed, the machine does not know which of the two keys the server accepts.
        do {
            let (state, enrolment) = (configuration.state, configuration.enrolment)
            if let next = try state.nextKey() {
                let key = triesNextKey ? try state.key() ?? configuration.key : next
                triesNextKey.toggle()
                keeper.use(try Self.context(enrolment, key))
                if triesNextKey { return .seconds(1) }
            }
        } catch { logger.error("the new key cannot be read", metadata: ["error": "\(sentence(of: error))"]) }
        return Self.refusedPause
    }

    package func linkUntrusted(_ reason: String) -> Bool {
        guard let next = configuration.enrolment.nextLinkKey else { return true }
        // Alternates between the keys, because the server may also have been restored from a backup before the change.
        triesNextLinkKey.toggle()
        do {
            var enrolment = configuration.enrolment
            if triesNextLinkKey { enrolment.linkKey = next }
            keeper.use(try Self.context(enrolment, try configuration.state.key() ?? configuration.key))
        } catch { logger.error("the server's next key cannot be used", metadata: ["error": "\(sentence(of: error))"]) }
        return true
    }

    /// Stores the server's current key and its announced one. The announcement was made under the key that this machine
    /// knows.
    private func learnServerKey() {
        var enrolment = configuration.enrolment
        if triesNextLinkKey, let next = enrolment.nextLinkKey { enrolment.linkKey = next }
        triesNextLinkKey = false
        enrolment.nextLinkKey = keeper.announcedKey.flatMap {
            Fingerprint($0) == nil || $0 == enrolment.linkKey ? nil : $0
        }
        guard enrolment != configuration.enrolment else { return }
        do {
            try configuration.state.save(enrolment)
            configuration.enrolment = enrolment
            logger.notice(
                "the server's key is changing",
                metadata: ["key": "\(enrolment.linkKey)", "next": "\(enrolment.nextLinkKey ?? "none")"])
        } catch {
            logger.error("the server's next key cannot be stored", metadata: ["error": "\(sentence(of: error))"])
        }
    }

    package func linkStopped() { stopped.succeed() }

    func say() { configuration.onStatus(summary) }

    /// One line for `systemctl status`.
    public var summary: String {
        let online = tunnels.values.count { $0.state == .online }
        let mistakes = problems.isEmpty ? "" : "; \(problems.count) mistakes in \(configuration.settingsPath)"
        return onlineSince == nil
            ? "not connected to \(configuration.enrolment.url): \(reason)\(mistakes)"
            : "connected to \(configuration.enrolment.url); \(online) of \(tunnels.count) tunnels online\(mistakes)"
    }

    // MARK: Streams and calls

    package func linkOpened(_ stream: LinkStream, by link: LinkHandler) {
        guard stream.open.kind == "tunnel", let label = labels[stream.open.tunnel],
            let service = tunnels[label]?.service
        else {
            return link.reject(
                stream, LinkRejection(code: "unknown", message: "This machine does not serve that tunnel."))
        }
        service.open(stream, of: link, on: loop)
    }

    package func linkCalled(_ call: LinkCall, _ number: UInt32, by link: LinkHandler) {
        link.answer(number, JSONText.encode(LinkAnswer()))
        guard call.call == .ended, let label = labels[call.tunnel] else { return }
        let reason = call.reason ?? "ended by the server"
        tunnels[label]?.state = .stopped(reason)
        logger.notice("tunnel stopped", metadata: ["tunnel": "\(label)", "reason": "\(reason)"])
        say()
    }
}
