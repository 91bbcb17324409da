import Hummingbird
import HummingbirdCore
public import Logging
public import NIOCore
import NIOPosix
import Relay
public import ServiceLifecycle
public import Storage
public import Telemetry
public import TransportSecurity

/// The appliance seen from outside: REST, pages and the relay, on its listeners.
public struct WebServer: Service {
    private let configuration: WebConfiguration
    private let parts: WebParts
    private let group: any EventLoopGroup
    private let relay: RelayServer
    private let responder: RouterResponder<WebContext>
    private let redirects: RouterResponder<WebContext>
    private let recorder: AvailabilityRecorder
    /// `GET /health`, …: what the API's description must name.
    let routes: [String]
    private let onRunning: @Sendable ([BoundListener]) -> Void
    private var logger: Logger { parts.logger }

    /// - Parameter onRunning: called once, with where it listens.
    public init(
        configuration: WebConfiguration, parts: WebParts, group: any EventLoopGroup,
        onRunning: @escaping @Sendable ([BoundListener]) -> Void
    ) async {
        self.configuration = configuration
        self.parts = parts
        self.group = group
        self.onRunning = onRunning
        let database = parts.database
        let authenticator = await Authenticator(database: database, signingKey: parts.signingKey)
        let joins = RateLimiter(perMinute: configuration.joinsPerMinute)
        let publicCalls = RateLimiter(perMinute: configuration.publicCallsPerMinute)
        relay = RelayServer(
            authority: Gatekeeper(
                database: database, authenticator: authenticator, limiter: joins, logger: parts.logger),
            group: group, configuration: configuration.relay, metrics: parts.metrics)
        let router = Router(context: WebContext.self)
        router.add(middleware: EdgeMiddleware(metrics: parts.metrics, hsts: configuration.hsts))
        let board = StatusBoard(parts)
        recorder = AvailabilityRecorder(board: board, database: database, logger: parts.logger)
        HealthRoutes(parts: parts, board: board).add(to: router)
        MetricsRoutes(parts: parts, authenticator: authenticator).add(to: router)
        OpenAPIRoutes(version: parts.version).add(to: router)
        SocketIORoutes().add(to: router)
        SetupRoutes(database: database, limiter: publicCalls).add(to: router)
        StatusRoutes(
            parts: parts, board: board, authenticator: authenticator, publicNumbers: configuration.publicNumbers
        ).add(to: router)
        AuthenticationRoutes(authenticator: authenticator, limiter: publicCalls).add(to: router)
        SessionRoutes(database: database, authenticator: authenticator, relay: relay).add(to: router)
        CodeRoutes(database: database, authenticator: authenticator, limiter: publicCalls).add(to: router)
        PageRoutes().add(to: router)
        routes = router.routes.map { "\($0.method.rawValue) \($0.path)" }
        responder = router.buildResponder()
        let redirects = Router(context: WebContext.self)
        RedirectRoutes(port: configuration.redirectPort, answers: parts.challenges).add(to: redirects)
        self.redirects = redirects.buildResponder()
    }

    /// Serves until a graceful shutdown, then tells every peer to come back and waits for connections to end.
    public func run() async throws {
        try await reopenRooms()
        let draining = Draining()
        let connections = ConnectionCounter(limit: configuration.connectionsPerAddress)
        let events = DoorEvents(
            metrics: parts.metrics, logger: logger, logAddresses: configuration.logAddresses)
        let relay = self.relay
        let listeners = try await Listeners(
            configuration.listeners, group: group, logger: logger, draining: draining
        ) { listener in
            FrontDoorChannel(
                responder: Self.respond(
                    with: listener.role == .redirect ? redirects : responder, logger: logger,
                    logAddresses: configuration.logAddresses),
                relay: relay, connections: connections, events: events, draining: draining, metrics: parts.metrics,
                tls: listener.role == .https ? parts.tls : nil, offersRelay: listener.role != .redirect)
        }
        onRunning(listeners.bound)
        await withGracefulShutdownHandler {
            await listeners.serve()
        } onGracefulShutdown: {
            relay.goAway(reconnectIn: WebConfiguration.reconnectIn)
            listeners.drain()
        }
    }

    /// Writes down every minute whether the server could serve; runs beside it.
    public var availability: any Service { recorder }

    /// Runs one request through a router.
    private static func respond(
        with responder: RouterResponder<WebContext>, logger: Logger, logAddresses: Bool
    ) -> HTTPChannelHandler.Responder {
        { request, writer, channel in
            var logger = logger
            // Where the context keeps the request's id.
            logger[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
            if logAddresses { logger[metadataKey: "address"] = "\(ClientAddress.text(of: channel))" }
            let context = WebContext(source: .init(channel: channel, logger: logger))
            // The router's outermost middleware answers every error; nothing else throws.
            var response = try await responder.respond(to: request, context: context)
            response.headers[.date] = DateHeader.now
            try await writer.write(response: response.head, body: response.body)
        }
    }

    /// After a start nobody is connected. Sessions that were active wait for their people to take their seats again.
    private func reopenRooms() async throws {
        let stored = try await parts.database.write(essential: true) { try StoredSeats.takeOver(now: .now(), in: $0) }
        // All are open before the first connection is taken: a peer that finds no room would start over.
        let opened = stored.map { relay.restore(StoredRoom($0)) }
        for room in opened { try await room.get() }
    }
}

/// What the web server is put together from.
public struct WebParts: Sendable {
    public var database: Database
    /// Signs access tokens; at least 32 random bytes.
    public var signingKey: [UInt8]
    public var version: String
    public var metrics: ServerMetrics
    /// For `https` listeners.
    public var tls: TLSContext?
    public var challenges: ChallengeAnswers
    public var certificate: @Sendable () -> CertificateReport?
    public var backups: @Sendable () -> BackupReport
    public var stateDirectory: String
    /// Free disk space below which writes are refused, in bytes.
    public var reserveBytes: Int
    public var logger: Logger

    public init(
        database: Database, signingKey: [UInt8], version: String, metrics: ServerMetrics, tls: TLSContext?,
        challenges: ChallengeAnswers, certificate: @escaping @Sendable () -> CertificateReport?,
        backups: @escaping @Sendable () -> BackupReport, stateDirectory: String, reserveBytes: Int, logger: Logger
    ) {
        self.certificate = certificate
        self.backups = backups
        self.stateDirectory = stateDirectory
        self.reserveBytes = reserveBytes
        self.database = database
        self.signingKey = signingKey
        self.version = version
        self.metrics = metrics
        self.tls = tls
        self.challenges = challenges
        self.logger = logger
    }
}
