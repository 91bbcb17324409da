import Link
import Model
import NIOCore
import NIOHTTP1
import Outbound
import TransportSecurity
import WebSocket
import Wire

/// The paths by which a link can leave this machine's network. The link's own TLS is the same in each: intermediaries
/// see only ciphertext.
public enum LinkWay: String, Sendable, Codable, CaseIterable {
    /// A TLS connection to the server's HTTPS port, through the proxy that the environment names, if it does.
    case tls
    /// WebSocket messages at `/link`: through a web server, or through a proxy that intercepts TLS.
    case webSocket = "websocket"

    /// The name that is shown to people.
    public var text: String {
        switch self {
        case .tls: "TLS"
        case .webSocket: "TLS in a WebSocket"
        }
    }
}

/// Opens the connection of a link.
struct LinkDialer: Sendable {
    static let connectTimeout = TimeAmount.seconds(10)

    let address: ServerAddress
    /// TLS of the link itself.
    let tls: TLSContext
    let loop: any EventLoop

    /// - Parameter initialize: adds the link's handler after its TLS, on the event loop; called once for each address
    ///   that is tried.
    /// - Returns: what `initialize` returned, once the connection is open. A failed TLS handshake is reported through
    ///   the pipeline.
    func connect<Value: Sendable>(
        _ way: LinkWay, initialize: @escaping @Sendable (any Channel) throws -> Value
    ) -> EventLoopFuture<Value> {
        do {
            let connector = try Connector.ofEnvironment(on: loop, connectTimeout: Self.connectTimeout)
            switch way {
            case .tls:
                return connector.connect(host: address.host, port: address.port, tls: tls, initialize: initialize)
            case .webSocket: return try webSocket(connector, initialize)
            }
        } catch { return loop.makeFailedFuture(error) }
    }

    private func webSocket<Value: Sendable>(
        _ connector: Connector, _ initialize: @escaping @Sendable (any Channel) throws -> Value
    ) throws -> EventLoopFuture<Value> {
        // The server or proxy that terminates the outer TLS sees only the ciphertext of the inner TLS, which verifies
        // the server by its key. The outer certificate may therefore be any, for example that of a company's proxy.
        let outer = address.isSecure ? try ClientContexts.context(.anyone) : nil
        // Several addresses may be tried at once, each with its own upgrade. Only the upgrade of the one that connected
        // counts.
        return connector.connect(host: address.host, port: address.port, tls: outer) { [self] channel in
            try upgrade(channel, initialize)
        }.flatMap { $0 }
    }

    private func upgrade<Value: Sendable>(
        _ channel: any Channel, _ initialize: @escaping @Sendable (any Channel) throws -> Value
    ) throws -> EventLoopFuture<Value> {
        let promise = channel.eventLoop.makePromise(of: Value.self)
        if address.isSecure { try channel.pipeline.syncOperations.addHandler(FailureHandler(promise)) }
        let upgrader = WebSocketClientUpgrader { channel in
            try channel.pipeline.syncOperations.addHandler(WebSocketStreamHandler(role: .client))
        }
        let headers: HTTPHeaders = [
            "Host": address.authority, "Content-Length": "0", "Sec-WebSocket-Protocol": linkSubprotocol,
        ]
        let (address, tls) = (self.address, self.tls)
        let configuration = NIOTypedHTTPClientUpgradeConfiguration(
            upgradeRequestHead: HTTPRequestHead(version: .http1_1, method: .GET, uri: linkPath, headers: headers),
            upgraders: [upgrader],
            notUpgradingCompletionHandler: { channel in
                channel.close(promise: nil)
                return channel.eventLoop.makeFailedFuture(
                    ClientError("\(address)\(linkPath) does not accept WebSocket connections"))
            })
        let outcome = try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
            configuration: .init(upgradeConfiguration: configuration))
        // Not earlier: nothing may be written until the HTTP handlers have left the pipeline, and the inner TLS starts
        // with our hello.
        outcome.flatMapThrowing {
            try channel.pipeline.syncOperations.addHandler(TLSHandler.client(tls, serverName: address.host))
            return try initialize(channel)
        }.cascade(to: promise)
        return promise.futureResult
    }
}

/// Reports why the outer TLS failed, or that the connection ended, before the upgrade is complete.
private final class FailureHandler<Value: Sendable>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let promise: EventLoopPromise<Value>

    init(_ promise: EventLoopPromise<Value>) { self.promise = promise }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.fireErrorCaught(error)
    }
}
