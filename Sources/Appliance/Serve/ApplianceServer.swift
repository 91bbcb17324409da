import CPlatform
import CertificateAuthorities
import Database
import FoundationEssentials
import Glibc
import Identity
import Logging
import Model
import NIOCore
import NIOPosix
import Operations
import Outbound
import Relay
import ServiceLifecycle
import Sockets
import Storage
import Synchronization
import Telemetry
import TransportSecurity
import Tunnels
import Web

/// The server, created from its configuration.
final class ApplianceServer: Sendable {
    let services: [any Service]
    private let database: Database
    private let listeners: [ListenerConfiguration]

    /// The inherited sockets, by the setting that they override.
    private static func sockets(_ inherited: [ListenerConfiguration]) -> [String: (listens: String, unit: String)] {
        var found: [String: (listens: String, unit: String)] = [:]
        for listener in inherited {
            let key = listener.role == .https ? Settings.https.key : Settings.http.key
            found[key] = ("a socket from systemd", listener.role == .https ? "postern.socket" : "postern-http.socket")
        }
        return found
    }

    /// Opens and checks everything that can fail before the first connection is accepted.
    /// - Parameter reloaded: reads the configuration again.
    /// - Throws: ``CommandFailure``, `StorageError`, `TLSError`.
    init(
        _ configuration: Configuration, logger: Logger, reloaded: @escaping @Sendable () throws -> Configuration
    ) async throws {
        let metrics = ServerMetrics()
        let state = configuration.stateDirectory
        // Before anything is opened: two servers on one directory would release each other's seats.
        try Database.makeDirectory(state)
        try ServeLock.take(stateDirectory: state)
        let reserve = configuration[Settings.diskReserveMiB] << 20
        let plans = configuration.plans
        database = try Database(
            stateDirectory: state, metrics: metrics.database, reserveBytes: reserve,
            masterKey: Configuration.masterKeyCredential, plans: plans)
        let backups = BackupSchedule(configuration, logger: logger)
        let hasher = PasswordHasher()
        let answers = ChallengeAnswers()
        let https = configuration[Settings.https] != .off
        let group = MultiThreadedEventLoopGroup(
            numberOfThreads: configuration[Settings.eventLoops] ?? System.coreCount)
        Self.askForShortTurns(group, logger)
        let connector = Connector(group: group, proxy: try Proxy.environment(ProcessInfo.processInfo.environment))
        let client = HTTPClient(connector)
        let keeper =
            https ? try CertificateKeeper(configuration, answers: answers, client: client, logger: logger) : nil
        if keeper == nil { ServedCertificates.forget(stateDirectory: state) }
        let inherited = try Systemd.listeners(https: https)
        listeners = inherited.isEmpty ? ListenerConfiguration.configured(configuration) : inherited
        let others = try await ExternalServices(
            configuration, database: database, client: client, connector: connector)
        var parts = WebParts(
            database: database, hasher: hasher, mail: others.mail, version: Postern.version, metrics: metrics,
            tls: try keeper.map { try TLSContext.listener($0.store) }, challenges: answers,
            certificate: { keeper?.report }, backups: { backups.report }, stateDirectory: state, reserveBytes: reserve,
            logger: logger)
        parts.providers = others.providers
        parts.organisationProvider = try Self.organisationProvider(configuration, group)
        parts.backUp = { try await backups.backUp() }
        parts.settings = SettingInForce.all(configuration, sockets: Self.sockets(inherited))
        parts.relayed = try await CountsOutlivingAKill.relayed(stateDirectory: state, database, logger)
        parts.tunnelCounters = try await CountsOutlivingAKill.tunnels(stateDirectory: state, database, logger)
        var tunnelCertificates: TunnelCertificates?
        var domainCertificates: DomainCertificates?
        // Also without HTTPS: a web server in front passes links on in WebSockets.
        let identity = try LinkIdentity.pair(stateDirectory: state)
        parts.link = try TLSContext.linkServer(identity)
        parts.linkKey = "\(identity.leaf.keyFingerprint)"
        if let keeper {
            if let domain = configuration[Settings.tunnelDomain] {
                let certificates = try await TunnelCertificates(
                    configuration, domain: domain, store: keeper.store, answers: answers, client: client, group: group,
                    logger: logger)
                tunnelCertificates = certificates
                parts.tunnelCertificate = { certificates.report }
            }
            parts.trusts = { keeper.store.isTrusted(for: $0) }
            let domains = try DomainCertificates(
                configuration, store: keeper.store, answers: answers, client: client,
                delegated: tunnelCertificates?.delegated, logger: logger)
            domainCertificates = domains
            if configuration[Settings.domainChallenge] == .dns, let delegated = tunnelCertificates?.delegated {
                parts.challengeTarget = { delegated.target(of: $0) }
            }
            parts.domainCertificates = domains
        }
        parts.lookup = try Self.lookup(
            configuration, group,
            keeper == nil ? nil : CertificateProbe(Connector(group: group, connectTimeout: .seconds(5))),
            domainCertificates)
        try await FirstAdministrator.make(database: database, hasher: hasher, configuration, logger: logger)
        let setup = try await SetupLink.offer(database: database, configuration, keepsOlder: true)
        let summary: @Sendable () -> String = { Self.summary(metrics.relay, keeper) }
        let listening = listeners
        // Only logged: refusing to start after a manual restore would not help.
        for finding in Examination.files(configuration) where !finding.isGood {
            logger.warning("files", metadata: ["problem": "\(finding.text)"])
        }
        var web = Self.web(configuration, listeners)
        web.tunnels.nextLinkKey = try LinkIdentity.next(stateDirectory: state).map { "\($0.leaf.keyFingerprint)" }
        let server = await WebServer(
            configuration: web, parts: parts, group: group
        ) { bound in
            Self.announce(bound, keeper?.reports.first?.facts, setup, configuration, listening, logger)
            Systemd.ready(summary())
            postern_forget_startup_code()
        }
        let watchdog = Watchdog(
            database: database, group: group, loopLagSeconds: metrics.loopLagSeconds, logger: logger, status: summary)
        let reloader = Reloader(
            configuration: configuration, reload: reloaded, keeper: keeper, plans: plans, server: server,
            logger: logger, status: summary)
        // Stopped from last to first: peers are disconnected while everything behind the web server still works.
        let behind: [any Service] =
            [
                watchdog, reloader, backups, MemoryKeeper(), server.availability, server.housekeeping,
                server.backgroundWork,
            ]
            + (keeper.map { [$0] } ?? []) + (tunnelCertificates.map { [$0] } ?? [])
            + (domainCertificates.map { [$0] } ?? [])
        services = behind + [server, StopNotice()]
    }

    /// Organisations choose their issuers: requests to them must not lead into this server's own networks.
    private static func organisationProvider(
        _ configuration: Configuration, _ group: any EventLoopGroup
    ) throws -> SignOnOperations.MakeProvider? {
        let allowed = configuration[Settings.organisationIssuers]
        guard allowed != .off else { return nil }
        // A proxy would resolve names itself, and could not be kept from private addresses.
        let proxy = allowed == .any ? try Proxy.environment(ProcessInfo.processInfo.environment) : nil
        let onlyPublic: (@Sendable (SocketAddress) -> Bool)? =
            if allowed == .any { nil } else { { @Sendable address in PublicAddresses.contains(address) } }
        let connector = Connector(group: group, proxy: proxy, allows: onlyPublic)
        let client = HTTPClient(connector)
        let trust: TLSContext.Trust = configuration[Settings.providerCAFile].map { .authorities(file: $0) } ?? .system
        // The system's authorities need 3 MB: they are loaded when the first issuer is used.
        let tls = LazyContext(trust)
        return { (issuer: String, registration: ProviderRegistration) throws -> any Provider in
            try OpenIDProvider(
                name: "organisation", title: "The issuer", issuer: issuer, registration, client: client,
                tls: tls.context())
        }
    }

    /// - Throws: ``CommandFailure`` for a resolver that is not a numeric address.
    private static func lookup(
        _ configuration: Configuration, _ group: any EventLoopGroup, _ probe: CertificateProbe?,
        _ certificates: DomainCertificates?
    ) throws -> DomainNames {
        var resolver: (host: String, port: Int)?
        if case .at(let host, let port) = configuration[Settings.dnsResolver] { resolver = (host, port) }
        let url = configuration[Settings.publicURL].flatMap { WebAddress($0, scheme: "https") }
        let own = url?.host
        do {
            return DomainNames(
                lookup: try DNSLookup(resolver: resolver, group: group), ownHost: own,
                authority: DomainNames.authority(of: configuration[Settings.acmeDirectory]), probe: probe,
                served: { certificates?.served($0) }, port: url?.port ?? 443)
        } catch { throw CommandFailure("dns-resolver: \(resolver?.host ?? "") is not a numeric address") }
    }

    func close() { database.close() }

    /// The time slice of an event loop on its core, in nanoseconds: the shortest that the kernel allows. If other
    /// processes, or another loop with a session at full speed, keep all cores busy, a session would otherwise wait for
    /// time slices of milliseconds.
    private static let turn: UInt64 = 100_000

    private static func askForShortTurns(_ group: MultiThreadedEventLoopGroup, _ logger: Logger) {
        for (index, loop) in group.makeIterator().enumerated() {
            loop.execute {
                // Logged once for all loops.
                guard postern_ask_for_short_turns(turn) < 0, index == 0 else { return }
                let reason = String(cString: strerror(errno))
                logger.info(
                    "sessions may wait for other programs on a busy machine", metadata: ["sched_setattr": "\(reason)"])
            }
        }
    }

    /// The addresses of the listeners, for an error message.
    var addresses: String {
        listeners.map { listener in
            switch listener.source {
            case .bind(let host, let port): "\(host):\(port)"
            case .inherited(let descriptor): "descriptor \(descriptor)"
            }
        }.joined(separator: " and ")
    }

    private static func web(_ configuration: Configuration, _ listeners: [ListenerConfiguration]) -> WebConfiguration {
        var web = WebConfiguration(listeners: listeners)
        if configuration[Settings.tlsMode] != .selfSigned {
            web.names = configuration[Settings.tlsNames].filter { !$0.hasPrefix("*") }
        }
        web.relay.hostReturn = .seconds(Int64(configuration[Settings.hostReturn]))
        web.relay.guestReturn = .seconds(Int64(configuration[Settings.guestReturn]))
        web.limits = WebLimits(configuration)
        web.trustedProxies = configuration[Settings.trustedProxies]
        web.accounts.registration = configuration[Settings.registration]
        web.accounts.publicURL = PublicAddress.configured(configuration, listeners)
        web.accounts.frontends = configuration[Settings.frontendURLs]
        web.accounts.upgradeURL = configuration[Settings.upgradeURL]
        web.tunnels = tunnels(configuration, listeners)
        web.historyDays = configuration[Settings.historyDays]
        web.publicNumbers = configuration[Settings.publicNumbers]
        web.hsts = configuration[Settings.tlsMode] != .selfSigned
        web.redirectPort = listeners.first { $0.role == .https }.map(\.port).flatMap { $0 == 443 ? nil : $0 }
        return web
    }

    private static func tunnels(
        _ configuration: Configuration, _ listeners: [ListenerConfiguration]
    ) -> TunnelConfiguration {
        var tunnels = TunnelConfiguration(software: "postern \(Postern.version)")
        tunnels.domain = configuration[Settings.tunnelDomain]
        if let url = configuration[Settings.publicURL], let address = WebAddress(url, scheme: "https") {
            tunnels.publicPort = address.port
        }
        tunnels.ports = configuration[Settings.tunnelPorts]
        tunnels.portHost = configuration[Settings.tunnelPortAddress]
        tunnels.memoryBytes = configuration[Settings.tunnelMemoryMiB] << 20
        tunnels.abuseContact = configuration[Settings.abuseContact]
        tunnels.publicURL = PublicAddress.configured(configuration, listeners)
        return tunnels
    }

    /// `12 sessions, 31 guests, certificate valid for 61 days`
    private static func summary(_ metrics: RelayMetrics, _ keeper: CertificateKeeper?) -> String {
        let rooms = metrics.rooms.value
        let guests = metrics.guests.value
        let certificate = keeper?.report.map { ", certificate valid for \($0.daysLeft(now: time(nil))) days" } ?? ""
        return
            "\(rooms) \(rooms == 1 ? "session" : "sessions"), \(guests) \(guests == 1 ? "guest" : "guests")\(certificate)"
    }

    /// The lines that people read and that scripts wait for.
    private static func announce(
        _ bound: [BoundListener], _ certificate: CertificateFacts?, _ setup: SetupLink?,
        _ configuration: Configuration, _ listeners: [ListenerConfiguration], _ logger: Logger
    ) {
        guard let first = bound.first(where: { $0.role != .redirect }) ?? bound.first else { return }
        let address = PublicAddress.configured(configuration, listeners) ?? first.reachableURL
        // Before the line that scripts wait for.
        do {
            try PublicAddress.keep(address, configuration)
            try setup?.keep(configuration, address: address)
        } catch {
            logger.error("cannot store the server's address for the owner's commands", metadata: ["error": "\(error)"])
        }
        Output.line("Postern is up: \(first.reachableURL)/")
        if let certificate, certificate.isSelfSigned {
            Output.line(
                "Certificate:   \(certificate.fingerprint) (self-signed; users compare this when they sign in)")
        }
        if let setup {
            Output.line(
                "Set it up:     \(address)\(setup.path) (works once, for 30 minutes; 'postern setup' prints a new one)")
        }
    }
}

extension WebLimits {
    init(_ configuration: Configuration) {
        self.init()
        joinsPerMinute = configuration[Settings.joinsPerMinute]
        publicCallsPerMinute = configuration[Settings.publicCallsPerMinute]
        connectionsPerAddress = configuration[Settings.connectionsPerAddress]
        logAddresses = configuration[Settings.logAddresses]
    }
}

/// Tells systemd that the service is stopping, and how long that may take.
private struct StopNotice: Service {
    func run() async throws {
        try? await gracefulShutdown()
        Systemd.stopping(seconds: Int(ServeCommand.shutdownTime.components.seconds) + 5)
    }
}

/// A client's TLS settings, made when they are first used.
private final class LazyContext: Sendable {
    private let trust: TLSContext.Trust
    private let made = Mutex<TLSContext?>(nil)

    init(_ trust: TLSContext.Trust) { self.trust = trust }

    /// - Throws: `TLSError`.
    func context() throws -> TLSContext {
        try made.withLock { made in
            if let made { return made }
            let context = try TLSContext.client(trust: trust)
            made = context
            return context
        }
    }
}
