import Background
public import CertificateAuthorities
public import Database
import Hummingbird
import HummingbirdCore
public import Identity
import Limits
public import Logging
import Model
public import NIOCore
import NIOPosix
public import Operations
import Relay
public import ServiceLifecycle
public import Sockets
import Storage
public import Telemetry
public import TransportSecurity
import Tunnels

/// The appliance's external interface: REST, pages and the relay, on its listeners.
public struct WebServer: Service {
    private let configuration: WebConfiguration
    private let parts: WebParts
    private let group: any EventLoopGroup
    private let relay: RelayServer
    private let tunnels: TunnelOperations
    private let machines: MachineOperations
    private let domains: DomainOperations
    private let access: AccessOperations
    let responder: RouterResponder<WebContext>
    private let redirects: RouterResponder<WebContext>
    private let recorder: AvailabilityRecorder
    private let upkeep: Housekeeping
    /// The routes for the API's description and the permission matrix.
    let descriptions: [RouteDescription]
    private let table: RouteTable
    private let events: ConnectionEvents
    private let joins: RateLimiter
    private let publicCalls: RateLimiter
    private let connections: ConnectionCounter
    private let background = BackgroundWork()
    private let onRunning: @Sendable ([BoundListener]) -> Void
    private var logger: Logger { parts.logger }

    /// - Parameter onRunning: called once, with the bound addresses.
    public init(
        configuration: WebConfiguration, parts: WebParts, group: any EventLoopGroup,
        onRunning: @escaping @Sendable ([BoundListener]) -> Void
    ) async {
        self.configuration = configuration
        self.parts = parts
        self.group = group
        self.onRunning = onRunning
        let database = parts.database
        let changes = ChangeFeed()
        events = ConnectionEvents(
            metrics: parts.metrics.connections, logger: parts.logger, logAddresses: configuration.limits.logAddresses)
        let tokens = AccessTokens(database: database, logger: parts.logger)
        let authenticator = Authenticator(
            database: database, tokens: tokens, background: background, logger: parts.logger)
        joins = RateLimiter(perMinute: configuration.limits.joinsPerMinute)
        publicCalls = RateLimiter(perMinute: configuration.limits.publicCallsPerMinute)
        connections = ConnectionCounter(limit: configuration.limits.connectionsPerAddress)
        relay = RelayServer(
            authority: DatabaseRelayAuthority(
                database: database, authenticator: authenticator, limiter: joins, changes: changes, logger: parts.logger
            ),
            group: group, configuration: configuration.relay, metrics: parts.metrics.relay, byteCounters: parts.relayed,
            background: background)
        let mail = AccountMail(
            sender: parts.mail, database: database, publicURL: configuration.accounts.publicURL, background: background,
            logger: parts.logger)
        tunnels = TunnelOperations(
            database: database,
            server: TunnelServer(
                authority: DatabaseTunnelAuthority(
                    database: database, authenticator: authenticator, limiter: joins,
                    warnsOfStrangers: configuration.accounts.registration == .open, ports: configuration.tunnels.ports,
                    hasDomain: configuration.tunnels.domain != nil,
                    duplicated: DuplicateMachines(database: database, mail: mail, logger: parts.logger),
                    logger: parts.logger),
                configuration: configuration.tunnels, group: group, metrics: parts.metrics.tunnels,
                counters: parts.tunnelCounters, background: background,
                proxies: TrustedProxies(configuration.trustedProxies), connections: connections, changes: changes,
                logger: parts.logger))
        machines = MachineOperations(database: database, server: tunnels.server)
        domains = DomainOperations(
            database: database, server: tunnels.server, lookup: parts.lookup, certificates: parts.domainCertificates,
            mail: mail)
        access = AccessOperations(
            database: database, server: tunnels.server, publicURL: configuration.accounts.publicURL,
            logger: parts.logger)
        // RFC 9110, section 9.1: HEAD is supported wherever GET is.
        let router = Router(context: WebContext.self, options: .autoGenerateHeadEndpoints)
        table = RouteTable()
        let edge = tunnels.server
        let isTunnels: @Sendable (String) -> Bool = { edge.isTunnels($0) }
        router.add(
            middleware: EdgeMiddleware(
                metrics: parts.metrics.requests, events: events, routes: table, hsts: configuration.hsts,
                isTunnels: isTunnels, upgradeURL: configuration.accounts.upgradeURL))
        let board = StatusChecks(parts, group: group)
        recorder = AvailabilityRecorder(board: board, database: database, logger: parts.logger)
        upkeep = Housekeeping(
            database: database, relay: relay, tunnels: tunnels, machines: machines, domains: domains, access: access,
            mail: mail,
            historyDays: configuration.historyDays,
            logger: parts.logger)
        let routes = Routes(
            router: router, table: table, publicCalls: publicCalls, authenticator: authenticator, database: database,
            changes: changes)
        let services = Self.services(
            configuration, parts, authenticator, tokens, board, relay, tunnels, machines, domains, access, mail, events)
        for feature in WebFeature.all { feature.routes(services, routes) }
        descriptions = routes.descriptions
        responder = router.buildResponder()
        let redirects = Router(context: WebContext.self)
        RedirectRoutes(
            port: configuration.redirectPort, names: configuration.names, answers: parts.challenges,
            isTunnels: isTunnels
        ).add(
            to: redirects)
        self.redirects = redirects.buildResponder()
    }

    private static func services(
        _ configuration: WebConfiguration, _ parts: WebParts, _ authenticator: Authenticator, _ tokens: AccessTokens,
        _ board: StatusChecks, _ relay: RelayServer, _ tunnels: TunnelOperations, _ machines: MachineOperations,
        _ domains: DomainOperations, _ access: AccessOperations, _ mail: AccountMail, _ events: ConnectionEvents
    ) -> WebServices {
        let database = parts.database
        let accounts = AccountOperations(
            database: database, authenticator: authenticator, tokens: tokens, hasher: parts.hasher,
            settings: configuration.accounts, mail: mail, logger: parts.logger)
        return WebServices(
            configuration: configuration, parts: parts, authenticator: authenticator, accounts: accounts,
            credentials: CredentialOperations(database: database),
            signOn: SignOnOperations(
                database: database, tunnels: tunnels.server, makeProvider: parts.organisationProvider),
            organisations: OrganisationOperations(
                database: database, authenticator: authenticator, relay: relay, tunnels: tunnels.server, mail: mail),
            shares: ShareOperations(database: database, relay: relay, changes: tunnels.server.changes), relay: relay,
            tunnels: tunnels,
            machines: machines, domains: domains, access: access, events: events, board: board)
    }

    /// Serves until a graceful shutdown, then tells every peer to reconnect and waits for connections to end.
    public func run() async throws {
        try await ShareOperations(database: parts.database, relay: relay).reopenRooms()
        try await tunnels.load()
        try await machines.load()
        try await domains.load()
        try await access.load()
        let proxies = TrustedProxies(configuration.trustedProxies)
        let (events, relay, tunnels, known) = (self.events, self.relay, self.tunnels, self.table)
        var hellos: [any ClientHelloProtocol] = []
        if let link = parts.link, let tls = parts.tls {
            hellos = tunnels.server.entrances(link: link, tls: tls, events: events)
        }
        let entrances = hellos
        let publicOrigin = configuration.accounts.publicURL.flatMap(Self.origin(of:))
        let upgrade = WebSocketUpgrade(
            relay: relay, tunnels: tunnels.server, link: parts.link, events: events, proxies: proxies)
        let draining = Draining()
        let shared = ConnectionSetup.Shared(
            connections: connections, proxies: proxies, events: events, draining: draining,
            metrics: parts.metrics.connections)
        let listeners = try await Listeners(
            configuration.listeners, group: group, logger: logger, draining: draining, events: events,
            background: background
        ) { listener in
            ConnectionSetup(
                responder: Self.respond(
                    with: listener.role == .redirect ? redirects : responder, logger: logger, events: events,
                    proxies: proxies, publicOrigin: publicOrigin),
                shared: shared, tls: listener.role == .https ? parts.tls : nil,
                // A listener that redirects has no other function.
                upgrades: listener.role == .redirect ? [] : [upgrade],
                hellos: entrances,
                bounds: { known.bounds($0, $1) })
        }
        if let https = listeners.bound.first(where: { $0.role == .https }) {
            tunnels.server.listens(onHTTPS: https.port)
        }
        onRunning(listeners.bound)
        await withGracefulShutdownHandler {
            await listeners.serve()
        } onGracefulShutdown: {
            tunnels.server.changes.end()
            relay.goAway(reconnectIn: WebConfiguration.reconnectIn)
            tunnels.server.goAway(reconnectIn: Int(WebConfiguration.reconnectIn.nanoseconds / 1_000_000))
            listeners.drain()
        }
    }

    /// Applies other limits from now on.
    public func change(_ limits: WebLimits) {
        joins.change(perMinute: limits.joinsPerMinute)
        publicCalls.change(perMinute: limits.publicCallsPerMinute)
        connections.change(limit: limits.connectionsPerAddress)
        events.logAddresses = limits.logAddresses
    }

    /// Records every minute whether the server could serve. Runs next to the server.
    public var availability: any Service { recorder }

    /// Finishes work that continues after responses. Runs next to the server and stops after it.
    public var backgroundWork: any Service { BackgroundService(work: background) }

    /// Updates the ledger and closes connections of revoked peers. Runs next to the server.
    public var housekeeping: any Service { upkeep }

    /// The origin of a URL, as browsers write it (RFC 6454, section 6.2): without a path, in lower case, without the
    /// scheme's default port.
    static func origin(of url: String) -> String? {
        let lower = url.lowercased()
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")] where lower.hasPrefix(scheme) {
            var authority = lower.dropFirst(scheme.count).prefix { $0 != "/" }
            if authority.hasSuffix(port) { authority = authority.dropLast(port.count) }
            return authority.isEmpty ? nil : scheme + authority
        }
        return nil
    }

    /// Runs one request through a router.
    private static func respond(
        with responder: RouterResponder<WebContext>, logger: Logger, events: ConnectionEvents, proxies: TrustedProxies,
        publicOrigin: String?
    ) -> HTTPChannelHandler.Responder {
        { request, writer, channel in
            var logger = logger
            // The context stores the request's id here.
            logger[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
            let client = proxies.client(channel.remoteAddress?.ipAddress, request.headers[values: .forwardedFor])
            if events.logAddresses { logger[metadataKey: "address"] = "\(client.key)" }
            var context = WebContext(source: .init(channel: channel, logger: logger))
            context.address = client.key
            context.isLoopback = client.isLoopback
            context.publicOrigin = publicOrigin
            // The router's outermost middleware answers every error: nothing else throws.
            var response = try await responder.respond(to: request, context: context)
            response.headers[.date] = DateHeader.now
            try await writer.write(response: response.head, body: response.body)
        }
    }
}

extension WebFeature {
    /// Add each new feature here. ``openAPI`` is last: it describes the routes before it.
    static let all: [WebFeature] = [
        // In the order of the navigation.
        .home, .sharing, .tunnels, .domains, .access, .machines, .organisations, .singleSignOn, .accounts,
        .administration, .install,
        .status,
        .documents, .live, .browser, .openAPI,
    ]
}

/// The parts that the web server uses.
public struct WebParts: Sendable {
    public var database: Database
    public var hasher: PasswordHasher
    /// Nil if the owner has configured no mail server.
    public var mail: (any MailSender)?
    public var version: String
    public var metrics: ServerMetrics
    /// The providers that people can sign in with.
    public var providers: [any Provider] = []
    /// Makes the provider of an organisation's issuer. Nil if they are not used.
    public var organisationProvider: SignOnOperations.MakeProvider?
    /// Where `_acme-challenge` of a domain must lead. Nil if its certificate needs no such record.
    public var challengeTarget: (@Sendable (String) -> String)?
    /// The counters of the rooms' traffic.
    public var relayed = KeptCounters()
    /// The counters of the tunnels' traffic.
    public var tunnelCounters = KeptCounters()
    /// The TLS settings for `https` listeners.
    public var tls: TLSContext?
    /// The TLS settings for links of machines on them.
    public var link: TLSContext?
    /// SHA-256 of the links' public key.
    public var linkKey: String?
    /// The certificate of the tunnel domain. Nil if there is none.
    public var tunnelCertificate: @Sendable () -> TunnelCertificateReport? = { nil }
    /// Whether browsers trust the certificate presented for a host.
    public var trusts: @Sendable (String) -> Bool = { _ in false }
    public var challenges: ChallengeAnswers
    public var certificate: @Sendable () -> CertificateReport?
    public var backups: @Sendable () -> BackupReport
    /// Looks names up. Nil if names are not looked up.
    public var lookup: (any DomainLookup)?
    /// Nil if this server terminates no TLS, or may not order certificates.
    public var domainCertificates: (any DomainCertificateOrders)?
    /// Makes a backup at once.
    public var backUp: @Sendable () async throws -> Void = {}
    /// Shown to administrators.
    public var settings: [SettingInForce] = []
    public var stateDirectory: String
    /// Free disk space below which writes are refused, in bytes.
    public var reserveBytes: Int
    public var logger: Logger

    public init(
        database: Database, hasher: PasswordHasher, mail: (any MailSender)?, version: String, metrics: ServerMetrics,
        tls: TLSContext?,
        challenges: ChallengeAnswers, certificate: @escaping @Sendable () -> CertificateReport?,
        backups: @escaping @Sendable () -> BackupReport, stateDirectory: String, reserveBytes: Int, logger: Logger
    ) {
        self.certificate = certificate
        self.backups = backups
        self.stateDirectory = stateDirectory
        self.reserveBytes = reserveBytes
        self.database = database
        self.hasher = hasher
        self.mail = mail
        self.version = version
        self.metrics = metrics
        self.tls = tls
        self.challenges = challenges
        self.logger = logger
    }
}

/// Waits for the background work at the end, while the database is still open.
private struct BackgroundService: Service {
    let work: BackgroundWork

    func run() async throws {
        try? await gracefulShutdown()
        await work.drain()
    }
}
