public import NIOCore
import NIOPosix
public import TransportSecurity

/// Opens connections to other servers: by name over IPv6 or IPv4, whichever answers first (RFC 8305), through a proxy's
/// tunnel, and with TLS. The HTTP client and the mail client both use it.
public struct Connector: Sendable {
    /// The default timeout for name lookup and TCP connect together.
    public static let connectTimeout = TimeAmount.seconds(15)

    let group: any EventLoopGroup
    let proxy: Proxy?
    let connectTimeout: TimeAmount
    /// Whether a connection to an address may be used. Nil for all. Not asked for connections through a proxy.
    private let allows: (@Sendable (SocketAddress) -> Bool)?

    /// - Parameters:
    ///   - group: the event loops that connections run on.
    ///   - proxy: for connections that leave the machine.
    ///   - connectTimeout: for name lookup and TCP connect together. A proxy's tunnel gets the same time again.
    ///   - allows: whether an address may be used. Checked after the name was resolved, before anything is sent.
    public init(
        group: any EventLoopGroup, proxy: Proxy? = nil, connectTimeout: TimeAmount = Connector.connectTimeout,
        allows: (@Sendable (SocketAddress) -> Bool)? = nil
    ) {
        self.allows = allows
        self.group = group
        self.proxy = proxy
        self.connectTimeout = connectTimeout
    }

    /// Connects to a host, through the proxy if it applies to that host.
    /// - Parameters:
    ///   - tls: nil for none; otherwise `host` is the name in the certificate.
    ///   - initialize: adds handlers behind TLS, on the connection's event loop, before anything is read. It runs once
    ///     for each address that is tried.
    /// - Returns: what `initialize` returned for the connection that was opened, or ``OutboundError`` and NIO's errors.
    ///   A failed TLS handshake is reported as an error through the pipeline.
    public func connect<Value: Sendable>(
        host: String, port: Int, tls: TLSContext?, initialize: @escaping @Sendable (any Channel) throws -> Value
    ) -> EventLoopFuture<Value> {
        let secured = { @Sendable (channel: any Channel) throws -> Value in
            if let tls { try channel.pipeline.syncOperations.addHandler(TLSHandler.client(tls, serverName: host)) }
            return try initialize(channel)
        }
        guard let proxy, proxy.applies(to: host) else {
            return open(secured) { $0.connect(host: host, port: port) }
        }
        let authority = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        return tunnel(to: authority, through: proxy, secured)
    }

    /// Connects to a socket in the file system.
    func connect<Value: Sendable>(
        path: String, initialize: @escaping @Sendable (any Channel) throws -> Value
    ) -> EventLoopFuture<Value> {
        open(initialize) { $0.connect(unixDomainSocketPath: path) }
    }

    /// Connects to exactly this host, which may be the proxy itself.
    func connectDirectly<Value: Sendable>(
        host: String, port: Int, initialize: @escaping @Sendable (any Channel) throws -> Value
    ) -> EventLoopFuture<Value> {
        open(initialize) { $0.connect(host: host, port: port) }
    }

    private var bootstrap: ClientBootstrap { ClientBootstrap(group: group).connectTimeout(connectTimeout) }

    private func open<Value: Sendable>(
        _ initialize: @escaping @Sendable (any Channel) throws -> Value,
        _ connect: (ClientBootstrap) -> EventLoopFuture<any Channel>
    ) -> EventLoopFuture<Value> {
        let made = HandlerBox<Value>()
        return connect(
            bootstrap.channelInitializer { [allows] channel in
                channel.eventLoop.makeCompletedFuture {
                    // First: nothing behind it learns of a connection that may not be used.
                    if let allows { try channel.pipeline.syncOperations.addHandler(AddressCheck(allows)) }
                    made.add(try initialize(channel), of: channel)
                }
            }
        ).flatMapThrowing { [allows] channel in
            if let allows, channel.remoteAddress.map(allows) != true {
                channel.close(promise: nil)
                throw OutboundError.address
            }
            guard let value = made.take(channel) else { throw OutboundError.closed }
            return value
        }
    }

    private func tunnel<Value: Sendable>(
        to authority: String, through proxy: Proxy, _ initialize: @escaping @Sendable (any Channel) throws -> Value
    ) -> EventLoopFuture<Value> {
        let promise = group.any().makePromise(of: Value.self)
        let connected = bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    ConnectHandler(authority: authority, opened: promise, initialize: initialize))
            }
        }.connect(host: proxy.host, port: proxy.port)
        connected.whenFailure { promise.fail($0) }
        connected.whenSuccess { [connectTimeout] channel in
            let deadline = channel.eventLoop.scheduleTask(in: connectTimeout) {
                promise.fail(OutboundError.timeout)
                channel.close(promise: nil)
            }
            promise.futureResult.whenComplete { _ in deadline.cancel() }
        }
        return promise.futureResult
    }
}

/// Closes a connection to an address that may not be used, before TLS or a request begins.
private final class AddressCheck: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let allows: @Sendable (SocketAddress) -> Bool

    init(_ allows: @escaping @Sendable (SocketAddress) -> Bool) { self.allows = allows }

    func channelActive(context: ChannelHandlerContext) {
        guard context.remoteAddress.map(allows) == true else {
            context.fireErrorCaught(OutboundError.address)
            return context.close(promise: nil)
        }
        context.fireChannelActive()
    }
}
