import CPlatform
import Glibc
import Identity
import Logging
import NIOCore
import NIOPosix
import Relay
import ServiceLifecycle
import Storage
import Telemetry
import TransportSecurity
import Web

/// The server, put together from its configuration.
final class ApplianceServer: Sendable {
    let services: [any Service]
    private let database: Database
    private let listeners: [ListenerConfiguration]

    /// Opens and checks everything that can fail before the first connection is taken.
    /// - Parameter reloaded: reads the configuration again.
    /// - Throws: ``CommandFailure``, `StorageError`, `TLSError`.
    init(
        _ configuration: Configuration, logger: Logger, reloaded: @escaping @Sendable () throws -> Configuration
    ) async throws {
        let metrics = ServerMetrics()
        let state = configuration.stateDirectory
        // Before anything is opened: two servers on one directory would give each other's seats away.
        try Database.makeDirectory(state)
        try ServeLock.take(stateDirectory: state)
        let reserve = configuration.number("disk-reserve-mib") << 20
        let plans = configuration.plans
        database = try Database(
            stateDirectory: state, metrics: metrics, reserveBytes: reserve,
            masterKey: Configuration.masterKeyCredential, plans: plans)
        let backups = BackupSchedule(configuration, logger: logger)
        let hasher = PasswordHasher()
        let answers = ChallengeAnswers()
        let https = configuration.address("https") != .off
        let keeper = https ? try CertificateKeeper(configuration, answers: answers, logger: logger) : nil
        let inherited = try Systemd.listeners(https: https)
        listeners = inherited.isEmpty ? Self.configured(configuration) : inherited
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let neighbours = try await Neighbours(configuration, database: database)
        var parts = WebParts(
            database: database, hasher: hasher, mail: neighbours.mail, version: Postern.version, metrics: metrics,
            tls: try keeper.map { try TLSContext.listener($0.store) }, challenges: answers,
            certificate: { keeper?.report }, backups: { backups.report }, stateDirectory: state, reserveBytes: reserve,
            logger: logger)
        parts.providers = neighbours.providers
        parts.relayed = try await RelayedBytes.begin(stateDirectory: state, database: database, logger: logger)
        try await FirstAdministrator.make(database: database, hasher: hasher, configuration, logger: logger)
        let setup = try await SetupLink.offer(database: database, configuration)
        let summary: @Sendable () -> String = { Self.summary(metrics, keeper) }
        let server = await WebServer(
            configuration: Self.web(configuration, listeners), parts: parts, group: group
        ) { bound in
            Self.announce(bound, keeper?.report, setup?.path, configuration)
            Systemd.ready(summary())
            postern_forget_startup_code()
        }
        let watchdog = Watchdog(database: database, group: group, metrics: metrics, logger: logger, status: summary)
        let reloader = Reloader(
            configuration: configuration, reload: reloaded, keeper: keeper, plans: plans, logger: logger,
            status: summary)
        // Stopped from the last to the first: peers are sent away while everything behind the web server still works.
        let behind: [any Service] =
            [watchdog, reloader, backups, server.availability, server.housekeeping] + (keeper.map { [$0] } ?? [])
        services = behind + [server, StopNotice()]
    }

    func close() { database.close() }

    /// Where it was to listen, for an error message.
    var addresses: String {
        listeners.map { listener in
            switch listener.source {
            case .bind(let host, let port): "\(host):\(port)"
            case .inherited(let descriptor): "descriptor \(descriptor)"
            }
        }.joined(separator: " and ")
    }

    private static func configured(_ configuration: Configuration) -> [ListenerConfiguration] {
        var found: [ListenerConfiguration] = []
        let https = configuration.address("https")
        if case .at(let host, let port) = https {
            found.append(ListenerConfiguration(role: .https, source: .bind(host: host, port: port)))
        }
        if case .at(let host, let port) = configuration.address("http") {
            let role: ListenerConfiguration.Role = https == .off ? .http : .redirect
            found.append(ListenerConfiguration(role: role, source: .bind(host: host, port: port)))
        }
        return found
    }

    private static func web(_ configuration: Configuration, _ listeners: [ListenerConfiguration]) -> WebConfiguration {
        var web = WebConfiguration(listeners: listeners)
        web.relay.hostReturn = .seconds(Int64(configuration.number("host-return")))
        web.relay.guestReturn = .seconds(Int64(configuration.number("guest-return")))
        web.joinsPerMinute = configuration.number("joins-per-minute")
        web.publicCallsPerMinute = configuration.number("public-calls-per-minute")
        web.connectionsPerAddress = configuration.number("connections-per-address")
        web.accounts.registration = configuration.text("registration").flatMap { .init(rawValue: $0) } ?? .invited
        web.accounts.publicURL = configuration.publicURL
        web.accounts.frontends = configuration.list("frontend-urls")
        web.accounts.upgradeURL = configuration.text("upgrade-url")
        web.logAddresses = configuration.isYes("log-addresses")
        web.publicNumbers = configuration.isYes("public-numbers")
        web.hsts = configuration.text("tls-mode") != "self-signed"
        if case .at(_, let port) = configuration.address("https"), port != 443,
            !listeners.contains(where: { if case .inherited = $0.source { true } else { false } })
        {
            web.redirectPort = port
        }
        return web
    }

    /// `12 sessions, 31 guests, certificate good for 61 days`
    private static func summary(_ metrics: ServerMetrics, _ keeper: CertificateKeeper?) -> String {
        let rooms = metrics.rooms.value
        let peers = metrics.peers.value
        let certificate = keeper?.report.map { ", certificate good for \($0.daysLeft(now: time(nil))) days" } ?? ""
        return
            "\(rooms) \(rooms == 1 ? "session" : "sessions"), \(peers) \(peers == 1 ? "peer" : "peers")\(certificate)"
    }

    /// The lines that people read and scripts wait for.
    private static func announce(
        _ bound: [BoundListener], _ certificate: CertificateReport?, _ setupPath: String?,
        _ configuration: Configuration
    ) {
        guard let first = bound.first(where: { $0.role != .redirect }) ?? bound.first else { return }
        Output.line("Postern is up: \(first.url)/")
        if let certificate, certificate.isSelfSigned {
            Output.line(
                "Certificate:   \(certificate.fingerprint) (signed by itself; people compare this when they log in)")
        }
        if let setupPath {
            let base = configuration.publicURL ?? first.reachableURL
            Output.line(
                "Set it up:     \(base)\(setupPath) (works once, for 30 minutes; 'postern setup' prints it again)")
        }
    }
}

extension Configuration {
    /// Where people reach this server, without a slash at the end; nil where nothing says so.
    var publicURL: String? {
        if let url = text("public-url") { return url.hasSuffix("/") ? String(url.dropLast()) : url }
        guard let name = list("tls-names").first, case .at(_, let port) = address("https") else { return nil }
        return port == 443 || port == 0 ? "https://\(name)" : "https://\(name):\(port)"
    }
}

extension BoundListener {
    /// A socket on every address has no name that a browser could use: this machine's own stands in.
    fileprivate var reachableURL: String {
        guard host == "::" || host == "0.0.0.0" else { return url }
        return BoundListener(role: role, host: HostName.own ?? "localhost", port: port).url
    }
}

/// Tells systemd that the service is on its way down, and how long that may take.
private struct StopNotice: Service {
    func run() async throws {
        try? await gracefulShutdown()
        Systemd.stopping(seconds: Int(ServeCommand.shutdownTime.components.seconds) + 5)
    }
}
