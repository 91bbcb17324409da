import HTTPTypes
import Hummingbird
import HummingbirdCore
import Limits
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Relay
import Telemetry
import TransportSecurity

/// Every accepted connection: HTTP/1.1, or the relay's WebSocket after an upgrade (``RelayUpgrader``).
struct FrontDoorChannel: ServerChildChannel, HTTPChannelHandler {
    typealias HTTPValue = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    /// Closes a connection before anything is read from it.
    struct TooManyConnections: Error {}

    enum Outcome: Sendable {
        case http(HTTPValue)
        case webSocket
    }

    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let outcome: EventLoopFuture<Outcome>
    }

    let responder: HTTPChannelHandler.Responder
    let relay: RelayServer
    let connections: ConnectionCounter
    let proxies: TrustedProxies
    let events: DoorEvents
    let draining: Draining
    let unread: UnreadAnswers
    let metrics: ServerMetrics
    /// Nil speaks plain HTTP.
    let tls: TLSContext?
    /// False where the listener only redirects.
    let offersRelay: Bool

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let peer = ClientAddress(channel.remoteAddress?.ipAddress) ?? .local
            let address = peer.key
            // A proxy's connections are everybody's.
            let isCounted = !proxies.isTrusted(peer)
            guard !isCounted || connections.enter(address) else {
                events.refused(address)
                channel.close(promise: nil)
                throw TooManyConnections()
            }
            metrics.connectionsAccepted.add()
            metrics.connections.add(1)
            let lease = ConnectionLease {
                if isCounted { connections.leave(address) }
                metrics.connections.add(-1)
            }
            lease.hold(until: channel)
            draining.add(channel)
            let first = FirstRequestHandler(events: events, isDraining: draining.isUnderWay)
            try channel.pipeline.syncOperations.addHandler(first)
            if let tls {
                try channel.pipeline.syncOperations.addHandler(TLSHandler.server(tls, onHandshake: events.handshake))
            }
            let overhead = NIOLoopBound(RequestOverhead(), eventLoop: channel.eventLoop)
            let pacing = RequestPacingHandler(overhead: overhead.value)
            try channel.pipeline.syncOperations.addHandler(pacing)
            var configuration = NIOUpgradableHTTPServerPipelineConfiguration(
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                    upgraders: [
                        RelayUpgrader(
                            relay: relay, proxies: proxies,
                            transport: MovingConnection(lease: lease, draining: draining), offersRelay: offersRelay)
                    ],
                    notUpgradingCompletionHandler: { channel in makeHTTP(channel, overhead, logger) }))
            // Pipelined requests are answered in order by the request loop.
            configuration.enablePipelining = false
            // The library answers what it cannot read at once, also in front of an answer that is still owed.
            configuration.enableErrorHandling = false
            configuration.decoderConfiguration.maxHeaderListSize = WebConfiguration.headerBytes
            configuration.decoderConfiguration.maxHeaderFieldSize = WebConfiguration.headerBytes
            configuration.decoderConfiguration.maxHeaderFieldCount = WebConfiguration.headerCount
            let outcome = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                configuration: configuration)
            let upgrader = try channel.pipeline.syncOperations.handler(
                type: NIOTypedHTTPServerUpgradeHandler<Outcome>.self)
            let filter = UpgradeFilter(spoken: RelayUpgrader.name)
            try channel.pipeline.syncOperations.addHandler(filter, position: .before(upgrader))
            let last = BadRequestHandler(events: events)
            try channel.pipeline.syncOperations.addHandler(last)
            outcome.assumeIsolated().whenSuccess { outcome in
                if case .webSocket = outcome {
                    channel.pipeline.syncOperations.removeHandler(pacing, promise: nil)
                }
                channel.pipeline.syncOperations.removeHandler(first, promise: nil)
                channel.pipeline.syncOperations.removeHandler(filter, promise: nil)
                channel.pipeline.syncOperations.removeHandler(last, promise: nil)
            }
            return Value(channel: channel, outcome: outcome)
        }
    }

    func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.outcome.get() {
            case .http(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
            // The relay's handler does everything on the event loop.
            case .webSocket: break
            }
        } catch {
            // The connection broke, or spoke something else, before its first request was complete.
            logger.debug("connection ended early", metadata: ["error": "\(error)"])
            value.channel.close(promise: nil)
        }
    }

    private func makeHTTP(_ channel: any Channel, _ overhead: NIOLoopBound<RequestOverhead>, _ logger: Logger)
        -> EventLoopFuture<Outcome>
    {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(
                RequestGuardHandler(events: events, draining: draining, unread: unread, overhead: overhead.value))
            try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: tls != nil))
            try channel.pipeline.syncOperations.addHandler(
                HTTPConnectionStateHandler(
                    idleTimeout: .nanoseconds(WebConfiguration.idle.nanoseconds), logger: logger))
            return .http(
                try HTTPValue(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
        }
    }
}
