import Link
import Limits
import NIOCore
import NIOPosix
import Telemetry

/// The listening socket of a `tcp` tunnel. Visitors are accepted on the event loop of the machine's link.
struct PortListener: Sendable {
    private let channel: any Channel

    private static let backlog: CInt = 256

    private struct TooManyConnections: Error {}

    /// - Returns: the system's error if the port cannot be opened.
    static func open(
        _ port: Int, server: TunnelServer, loop: any EventLoop, for handle: TunnelHandle
    ) -> EventLoopFuture<PortListener> {
        let bootstrap = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 4096, maximum: 64 << 10)
            )
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let address = ClientAddress(channel.remoteAddress?.ipAddress)?.key ?? "local"
                    guard server.connections.enter(address) else {
                        server.metrics.visitorsTooMany.add()
                        throw TooManyConnections()
                    }
                    channel.closeFuture.whenComplete { _ in server.connections.leave(address) }
                    let visitor = VisitorName(channel, proxies: .none)
                    let local = channel.localAddress.map { "\($0.ipAddress ?? "")|\($0.port ?? 0)" } ?? ""
                    try channel.pipeline.syncOperations.addHandler(
                        PipeEntrance(
                            handle.live.value, visitor, host: local,
                            policies: server.policies(tunnel: handle.grant.id, host: "")))
                }
            }
        return bind(bootstrap, server.configuration.portHost, port).map { PortListener(channel: $0) }
    }

    private static func bind(_ bootstrap: ServerBootstrap, _ host: String, _ port: Int) -> EventLoopFuture<any Channel>
    {
        guard host == "*" else { return bootstrap.bind(host: host, port: port) }
        // Both address families on one socket if the system has IPv6, otherwise IPv4 only.
        return bootstrap.bind(host: "::", port: port).flatMapError { error in
            guard let error = error as? IOError, error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL
            else {
                return bootstrap.bind(host: "::", port: port)
            }
            return bootstrap.bind(host: "0.0.0.0", port: port)
        }
    }

    /// - Returns: completes when the port is free.
    @discardableResult
    func close() -> EventLoopFuture<Void> {
        channel.close(promise: nil)
        return channel.closeFuture
    }
}

/// A visitor's connection whose bytes go to the machine unchanged. Checks whether it is allowed, opens the stream, and connects both.
final class PipeEntrance: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let tunnel: LiveTunnel
    private let visitor: VisitorName
    private let host: String
    private let policies: [CompiledPolicy]

    init(_ tunnel: LiveTunnel, _ visitor: VisitorName, host: String, policies: [CompiledPolicy]) {
        self.policies = policies
        self.tunnel = tunnel
        self.visitor = visitor
        self.host = host
    }

    func handlerAdded(context: ChannelHandlerContext) { if context.channel.isActive { begin(context) } }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard tunnel.isOpen, tunnel.admits(visitor.client, policies) else {
            tunnel.metrics.addressesRefused.add()
            return refuse(context)
        }
        let channel = context.channel
        guard tunnel.enter(channel) else { return refuse(context) }
        channel.closeFuture.assumeIsolated().whenComplete { [tunnel] _ in tunnel.leave(ObjectIdentifier(channel)) }
        do throws(LinkRejection) {
            let pipe = try open()
            do { try context.pipeline.syncOperations.addHandler(pipe) } catch { return refuse(context) }
        } catch { refuse(context) }
    }

    private func open() throws(LinkRejection) -> StreamPipeHandler {
        let stream = try tunnel.link.open(
            LinkOpen(tunnel: tunnel.grant.id, peer: visitor.peer, host: host, trace: ""), owner: nil)
        return StreamPipeHandler(
            link: tunnel.link, stream: stream,
            onBytes: { [tunnel] fromSocket, toSocket in
                tunnel.count(bytesIn: fromSocket, bytesOut: toSocket)
            })
    }

    /// TCP has no message for a refusal.
    private func refuse(_ context: ChannelHandlerContext) {
        context.channel.resetsWhenClosed()
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is TunnelEnded { return refuse(context) }
        context.fireUserInboundEventTriggered(event)
    }
}
