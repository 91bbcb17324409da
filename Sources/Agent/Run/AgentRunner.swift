public import Client
package import Link
public import Logging
import Model
public import NIOCore
public import TransportSecurity
package import Wire

/// Holds on to the server with the machine's key, serves the tunnels of `agent.yml`, and says how the machine is doing. It belongs to one
/// event loop.
public final class AgentRunner: LinkKeeperOwner {
    /// Between two reports.
    private static let reportPause = TimeAmount.seconds(10)
    /// Between two tries of tunnels that the server refused.
    private static let retryPause = TimeAmount.seconds(60)
    /// A machine that was revoked may be let in again one day, and nobody sits in front of it.
    private static let refusedPause = TimeAmount.seconds(300)
    /// All streams together may hold this much, in bytes.
    private static let memoryBytes = 64 << 20

    /// What the agent is started with.
    public struct Configuration: Sendable {
        public var state: MachineState
        public var enrolment: MachineState.Enrolment
        public var key: CertificatePair
        public var settingsPath: String
        public var software: String
        /// Told whenever something changes: a line for `systemctl status`.
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

    let configuration: Configuration
    let loop: any EventLoop
    let logger: Logger
    let keeper: LinkKeeper
    var tunnels: [String: LiveDeclaration] = [:]
    /// Labels by the tunnels' ids, for streams.
    var labels: [String: String] = [:]
    private(set) var onlineSince: Timestamp?
    private(set) var reason = "connecting"
    private var reportTimer: RepeatedTask?
    private var retryTimer: RepeatedTask?
    /// Wait until the server has answered for every tunnel.
    var settling: [EventLoopPromise<Void>] = []
    private let stopped: EventLoopPromise<Void>

    /// A tunnel of `agent.yml`, and how it stands.
    struct LiveDeclaration {
        enum State: Equatable {
            case waiting, online
            case failed(String)
            case stopped(String)
        }

        var wanted: AgentTunnel
        var service: TunnelRun.Service
        var known: DeclaredTunnel?
        var state = State.waiting
    }

    /// - Throws: `TLSError`, ``ClientError``.
    public init(_ configuration: Configuration, loop: any EventLoop, logger: Logger) throws {
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
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
            throw ClientError("the enrolment names no key of the server; run 'postern machine enroll' again")
        }
        return try TLSContext.linkClient(pinning: pinned, as: key)
    }

    /// - Returns: when the agent has stopped.
    public func start(_ settings: AgentSettings) -> EventLoopFuture<Void> {
        take(settings)
        keeper.start()
        let bound = NIOLoopBound(self, eventLoop: loop)
        retryTimer = loop.scheduleRepeatedTask(initialDelay: Self.retryPause, delay: Self.retryPause) { _ in
            bound.value.retryFailed()
        }
        return stopped.futureResult
    }

    /// Ends the link and tells the server that this machine needs no place for now.
    public func stop() {
        reportTimer?.cancel()
        retryTimer?.cancel()
        keeper.stop(saying: "The agent was stopped.")
    }

    // MARK: The link

    package func linkUp(_ link: LinkHandler) {
        keeper.settled()
        onlineSince = .now()
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
        keeper.call(call) { _ in }
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
        for (label, tunnel) in tunnels where tunnel.state == .online { tunnels[label]?.state = .waiting }
        say()
    }

    package func linkRefused(_ reason: LinkGoAway) -> TimeAmount? { Self.refusedPause }

    package func linkUntrusted(_ reason: String) -> Bool { true }

    package func linkStopped() { stopped.succeed() }

    func say() {
        let online = tunnels.values.count { $0.state == .online }
        configuration.onStatus(
            onlineSince == nil
                ? "not connected to \(configuration.enrolment.url): \(reason)"
                : "connected to \(configuration.enrolment.url); \(online) of \(tunnels.count) tunnels online")
    }

    // MARK: Streams and calls

    package func linkOpened(_ stream: LinkStream, by link: LinkHandler) {
        guard stream.open.kind == "tunnel", let label = labels[stream.open.tunnel], let tunnel = tunnels[label] else {
            return link.reject(
                stream, LinkRejection(code: "unknown", message: "This machine does not serve that tunnel."))
        }
        tunnel.service.open(stream, of: link, on: loop)
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
