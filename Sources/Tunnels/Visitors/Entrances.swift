import Limits
import Link
import Model
public import NIOCore
public import Sockets
public import TransportSecurity

/// Links of machines. They are chosen by ALPN only, before TLS answers.
struct LinkEntrance: ClientHelloProtocol {
    let server: TunnelServer
    let tls: TLSContext
    let events: ConnectionEvents

    func takes(_ hello: ClientHello) -> Bool { hello.protocols == [TLSContext.linkProtocol] }

    func install(on channel: any Channel, for connection: ConnectionTransfer, hello: ClientHello) throws {
        try server.addLink(
            to: channel, tls: tls, events: events, address: channel.remoteAddress?.ipAddress ?? "local")
    }
}

extension TunnelServer {
    /// Creates a link on a connection. The link's own TLS runs inside it, whatever protocol carries it.
    /// - Parameter address: the machine's address, as limits count it.
    /// - Throws: NIO's error for a channel that is closing, and `TLSError`.
    public func addLink(
        to channel: any Channel, tls: TLSContext, events: ConnectionEvents, address: String
    ) throws {
        try LinkSocket.prepare(channel)
        let handshake = try TLSHandler.server(tls, onHandshake: events.handshake)
        let owner = LinkConnection(
            server: self, loop: channel.eventLoop, address: address, peerKey: { handshake.peerKey })
        let engine = LinkEngine(
            .init(side: .server, maxStreams: 0, opensPerSecond: 10), budget: budget, now: .now())
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(handshake)
        try pipeline.addHandler(LinkHandler(engine, owner: owner))
    }
}

/// Names below the tunnel domain and organisations' own names, chosen by the TLS server name. HTTP tunnels terminate
/// TLS here. `tls` tunnels get every byte unchanged.
struct NameEntrance: ClientHelloProtocol {
    let server: TunnelServer
    let tls: TLSContext
    let events: ConnectionEvents

    func takes(_ hello: ClientHello) -> Bool {
        guard let host = hello.serverName, server.isTunnels(host) else { return false }
        // If the certificate of a name is ours, the listener answers a certificate authority's check of the name.
        guard hello.protocols == ["acme-tls/1"] else { return true }
        return server.live(host: host)?.grant.kind == .tls
    }

    func install(on channel: any Channel, for connection: ConnectionTransfer, hello: ClientHello) throws {
        var named = VisitorName(channel, proxies: server.proxies)
        named.serverName = hello.serverName
        let visitor = named
        let handle = hello.serverName.flatMap { server.live(host: $0) }
        let setUp = { @Sendable [self] (channel: any Channel) throws in
            if let handle, handle.grant.kind == .tls {
                try channel.pipeline.syncOperations.addHandler(
                    PipeEntrance(
                        handle.live.value, visitor, host: hello.serverName ?? "",
                        policies: server.policies(tunnel: handle.grant.id, host: hello.serverName ?? "")))
            } else {
                try channel.pipeline.syncOperations.addHandler(TLSHandler.server(tls, onHandshake: events.handshake))
                try channel.pipeline.syncOperations.addHandler(
                    VisitorHandler(server: server, visitor: visitor, connection: connection))
            }
        }
        guard let handle, !handle.loop.inEventLoop else { return try setUp(channel) }
        // Moves to the event loop of the machine's link, before TLS has begun.
        try channel.pipeline.syncOperations.addHandler(
            RelocationHandler(to: handle.loop, connection: connection, setUp: setUp))
    }
}

/// Moves a new connection to another event loop, with the bytes it has sent.
final class RelocationHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let loop: any EventLoop
    private let connection: ConnectionTransfer
    private let setUp: @Sendable (any Channel) throws -> Void

    init(
        to loop: any EventLoop, connection: ConnectionTransfer, setUp: @escaping @Sendable (any Channel) throws -> Void
    ) {
        self.loop = loop
        self.connection = connection
        self.setUp = setUp
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let held = unwrapInboundIn(data)
        do {
            _ = try connection.move(context.channel, to: loop) { [setUp] channel in
                try channel.pipeline.syncOperations.addHandler(HeldBytesHandler(held))
                try setUp(channel)
            }
        } catch { context.close(promise: nil) }
    }
}

/// Passes the bytes that were read earlier to a connection that has moved.
final class HeldBytesHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var held: ByteBuffer

    init(_ held: ByteBuffer) { self.held = held }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        context.fireChannelRead(wrapInboundOut(held))
        context.fireChannelReadComplete()
        held = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
