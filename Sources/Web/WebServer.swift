import Hummingbird
import HummingbirdCore
public import Logging
public import NIOCore
import NIOPosix
import Relay
public import ServiceLifecycle
public import Storage

/// The appliance seen from outside: REST, pages and the relay, on one listener.
public struct WebServer: Service {
    private let configuration: WebConfiguration
    private let database: Database
    private let group: any EventLoopGroup
    private let relay: RelayServer
    private let responder: RouterResponder<WebContext>
    private let logger: Logger
    private let onRunning: @Sendable (SocketAddress?) -> Void

    /// - Parameters:
    ///   - signingKey: signs access tokens; at least 32 random bytes.
    ///   - onRunning: called once with the bound address.
    public init(
        configuration: WebConfiguration, database: Database, signingKey: [UInt8], version: String,
        group: any EventLoopGroup, logger: Logger, onRunning: @escaping @Sendable (SocketAddress?) -> Void
    ) async {
        self.configuration = configuration
        self.database = database
        self.group = group
        self.logger = logger
        self.onRunning = onRunning
        let authenticator = await Authenticator(database: database, signingKey: signingKey)
        let joins = RateLimiter(perMinute: configuration.joinsPerMinute)
        let publicCalls = RateLimiter(perMinute: configuration.publicCallsPerMinute)
        relay = RelayServer(
            authority: Gatekeeper(
                database: database, authenticator: authenticator, limiter: joins, logger: logger),
            configuration: configuration.relay)
        let started = NIODeadline.now()
        let router = Router(context: WebContext.self)
        router.add(middleware: EdgeMiddleware())
        HealthRoutes(database: database, version: version, started: started).add(to: router)
        AuthenticationRoutes(authenticator: authenticator, limiter: publicCalls).add(to: router)
        SessionRoutes(database: database, authenticator: authenticator, relay: relay, group: group).add(to: router)
        CodeRoutes(database: database, authenticator: authenticator, limiter: publicCalls).add(to: router)
        PageRoutes(version: version, started: started, relay: relay).add(to: router)
        responder = router.buildResponder()
    }

    /// Serves until a graceful shutdown, then tells every peer to come back and waits for connections to end.
    public func run() async throws {
        try await reopenRooms()
        let relay = self.relay
        let connections = ConnectionCounter(limit: configuration.connectionsPerAddress)
        let onRunning = self.onRunning
        let application = Application(
            responder: responder,
            server: HTTPServerBuilder { responder in
                FrontDoorChannel(responder: responder, relay: relay, connections: connections)
            },
            configuration: .init(address: .hostname(configuration.host, port: configuration.port)),
            onServerRunning: { channel in onRunning(channel.localAddress) },
            eventLoopGroupProvider: .shared(group), logger: logger)
        try await withGracefulShutdownHandler {
            try await application.run()
        } onGracefulShutdown: {
            relay.goAway(reconnectIn: WebConfiguration.reconnectIn)
        }
    }

    /// After a start nobody is connected. Sessions that were active wait for their hosts.
    private func reopenRooms() async throws {
        let ids = try await database.write { connection in
            try Connection.leaveAll(now: .now(), in: connection)
            return try ShareSession.activeIds(in: connection)
        }
        for id in ids { relay.expectHost(sessionId: id, on: group.next()) }
    }
}
