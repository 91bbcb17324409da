public import HummingbirdCore
import HTTPTypes
public import Limits
public import Logging
public import NIOCore
import NIOHTTP1
public import NIOHTTPTypes
import NIOHTTPTypesHTTP1
public import Telemetry
public import TransportSecurity

/// A connection that speaks HTTP/1.1.
public typealias HTTPConnection = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

/// Sets up every accepted connection of a listener: counting, timeouts, TLS, then HTTP/1.1 or another protocol.
public struct ConnectionSetup: HTTPChannelHandler {
    /// Closes a connection before anything is read from it.
    struct TooManyConnections: Error {}

    public struct Value: ServerChildChannelValue {
        public let channel: any Channel
        let outcome: EventLoopFuture<ConnectionOutcome>
    }

    /// The state that all listeners of a server share.
    public struct Shared: Sendable {
        let connections: ConnectionCounter
        let proxies: TrustedProxies
        let events: ConnectionEvents
        let draining: Draining
        let unread: UnreadAnswers
        let metrics: ConnectionMetrics

        public init(
            connections: ConnectionCounter, proxies: TrustedProxies, events: ConnectionEvents, draining: Draining,
            metrics: ConnectionMetrics
        ) {
            self.connections = connections
            self.proxies = proxies
            self.events = events
            self.draining = draining
            unread = UnreadAnswers(metrics: metrics)
            self.metrics = metrics
        }
    }

    public let responder: Responder
    let shared: Shared
    /// Nil for plain HTTP.
    let tls: TLSContext?
    let upgrades: [any UpgradeProtocol]
    let hellos: [any ClientHelloProtocol]
    let bounds: RequestBoundsLookup

    /// - Parameters:
    ///   - responder: answers each request.
    ///   - tls: nil for plain HTTP.
    ///   - upgrades: protocols that take over a connection by an upgrade request.
    ///   - hellos: protocols that are chosen by the TLS client hello.
    ///   - bounds: the limits of each request, by its method and target.
    public init(
        responder: @escaping Responder, shared: Shared, tls: TLSContext?, upgrades: [any UpgradeProtocol],
        hellos: [any ClientHelloProtocol] = [], bounds: @escaping RequestBoundsLookup
    ) {
        self.responder = responder
        self.shared = shared
        self.tls = tls
        self.upgrades = upgrades
        self.hellos = hellos
        self.bounds = bounds
    }

    public func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let peer = ClientAddress(channel.remoteAddress?.ipAddress) ?? .local
            let connection = ConnectionTransfer(lease: try lease(for: peer, channel), draining: shared.draining)
            shared.draining.add(channel)
            let first = FirstRequestHandler(events: shared.events, isDraining: shared.draining.isUnderWay)
            try channel.pipeline.syncOperations.addHandler(first)
            // Without protocols chosen by client hello, no handler is needed in front of TLS.
            guard tls != nil, !hellos.isEmpty else {
                return Value(channel: channel, outcome: try speakHTTP(channel, first, connection, logger))
            }
            return Value(channel: channel, outcome: try readHello(channel, first, connection, logger))
        }
    }

    /// Counts the connection for as long as it lasts.
    private func lease(for peer: ClientAddress, _ channel: any Channel) throws -> ConnectionLease {
        let address = peer.key
        // The connections of a proxy belong to many people.
        let isCounted = !shared.proxies.isTrusted(peer)
        guard !isCounted || shared.connections.enter(address) else {
            shared.events.refused(address)
            channel.close(promise: nil)
            throw TooManyConnections()
        }
        let (connections, metrics) = (shared.connections, shared.metrics)
        metrics.accepted.add()
        metrics.open.add(1)
        let lease = ConnectionLease {
            if isCounted { connections.leave(address) }
            metrics.open.add(-1)
        }
        lease.hold(until: channel)
        return lease
    }

    private func readHello(
        _ channel: any Channel, _ first: FirstRequestHandler, _ connection: ConnectionTransfer, _ logger: Logger
    ) throws -> EventLoopFuture<ConnectionOutcome> {
        let outcome = channel.eventLoop.makePromise(of: ConnectionOutcome.self)
        let events = shared.events
        // The same error as for a TLS handshake timeout.
        let late = TLSError(.handshakeTimeout, "no TLS client hello in time")
        let handler = ClientHelloHandler(onTimeout: { events.handshake(.failed(late)) }) { hello in
            do {
                guard let hello, let entrance = hellos.first(where: { $0.takes(hello) }) else {
                    return outcome.completeWith(try speakHTTP(channel, first, connection, logger))
                }
                try entrance.install(on: channel, for: connection, hello: hello)
                channel.pipeline.syncOperations.removeHandler(first, promise: nil)
                outcome.succeed(.taken)
            } catch {
                outcome.fail(error)
                channel.close(promise: nil)
            }
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        // The connection ended before its client hello was complete.
        channel.closeFuture.whenComplete { _ in outcome.fail(ChannelError.eof) }
        return outcome.futureResult
    }

    /// Adds TLS if the listener has it, then HTTP/1.1, which an upgrade may end.
    private func speakHTTP(
        _ channel: any Channel, _ first: FirstRequestHandler, _ connection: ConnectionTransfer, _ logger: Logger
    ) throws -> EventLoopFuture<ConnectionOutcome> {
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(TLSHandler.server(tls, onHandshake: shared.events.handshake)) }
        let overhead = NIOLoopBound(RequestOverhead(), eventLoop: channel.eventLoop)
        let pacing = RequestPacingHandler(overhead: overhead.value)
        try pipeline.addHandler(pacing)
        var configuration = NIOUpgradableHTTPServerPipelineConfiguration(
            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: upgrades.map { $0.upgrader(for: connection) },
                notUpgradingCompletionHandler: { channel in makeHTTP(channel, overhead, logger) }))
        // The request loop answers pipelined requests in order.
        configuration.enablePipelining = false
        // NIO would answer malformed requests at once, even before a response to an earlier request.
        configuration.enableErrorHandling = false
        configuration.decoderConfiguration.maxHeaderListSize = ConnectionLimits.headerBytes
        configuration.decoderConfiguration.maxHeaderFieldSize = ConnectionLimits.headerBytes
        configuration.decoderConfiguration.maxHeaderFieldCount = ConnectionLimits.headerCount
        let outcome = try pipeline.configureUpgradableHTTPServerPipeline(configuration: configuration)
        let upgrader = try pipeline.handler(type: NIOTypedHTTPServerUpgradeHandler<ConnectionOutcome>.self)
        let filter = UpgradeFilter(spoken: Set(upgrades.map(\.name)))
        try pipeline.addHandler(filter, position: .before(upgrader))
        let last = BadRequestHandler(events: shared.events)
        try pipeline.addHandler(last)
        outcome.assumeIsolated().whenSuccess { outcome in
            let pipeline = channel.pipeline.syncOperations
            if case .taken = outcome { pipeline.removeHandler(pacing, promise: nil) }
            pipeline.removeHandler(first, promise: nil)
            pipeline.removeHandler(filter, promise: nil)
            pipeline.removeHandler(last, promise: nil)
        }
        return outcome
    }

    public func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.outcome.get() {
            case .http(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
            // The protocol's handlers do all work on the event loop.
            case .taken: break
            }
        } catch {
            // The connection failed, or used another protocol, before its first request was complete.
            logger.debug("connection ended early", metadata: ["error": "\(error)"])
            value.channel.close(promise: nil)
        }
    }

    private func makeHTTP(
        _ channel: any Channel, _ overhead: NIOLoopBound<RequestOverhead>, _ logger: Logger
    ) -> EventLoopFuture<ConnectionOutcome> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(
                RequestGuardHandler(
                    events: shared.events, draining: shared.draining, unread: shared.unread, overhead: overhead.value,
                    bounds: bounds))
            try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: tls != nil))
            try channel.pipeline.syncOperations.addHandler(
                HTTPConnectionStateHandler(
                    idleTimeout: .nanoseconds(ConnectionLimits.idle.nanoseconds), logger: logger))
            return .http(
                try HTTPConnection(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
        }
    }
}
