import Limits
import Link
import Model
public import NIOCore
public import Sockets
public import TransportSecurity

/// Links of machines: chosen by ALPN alone, before TLS answers.
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
    /// Makes a link of a connection: the link's own TLS goes through it, whatever carries it.
    /// - Parameter address: of the machine, as limits count it.
    /// - Throws: what NIO says of a channel that is on its way down, and `TLSError`.
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

/// Names below the tunnel domain: by the TLS server name. HTTP tunnels end TLS here; `tls` tunnels get every byte as it is.
struct NameEntrance: ClientHelloProtocol {
    let server: TunnelServer
    let tls: TLSContext
    let events: ConnectionEvents

    func takes(_ hello: ClientHello) -> Bool {
        guard let host = hello.serverName, let name = server.configuration.name(in: host) else { return false }
        // A certificate authority's check of a name whose certificate is ours is answered by the listener.
        guard hello.protocols == ["acme-tls/1"] else { return true }
        return server.live(name: name)?.grant.kind == .tls
    }

    func install(on channel: any Channel, for connection: ConnectionTransfer, hello: ClientHello) throws {
        let visitor = VisitorName(channel, proxies: server.proxies)
        let handle = hello.serverName.flatMap(server.configuration.name).flatMap(server.live)
        let setUp = { @Sendable [self] (channel: any Channel) throws in
            if let handle, handle.grant.kind == .tls {
                try channel.pipeline.syncOperations.addHandler(
                    PipeEntrance(handle.live.value, visitor, host: hello.serverName ?? ""))
            } else {
                try channel.pipeline.syncOperations.addHandler(TLSHandler.server(tls, onHandshake: events.handshake))
                try channel.pipeline.syncOperations.addHandler(
                    VisitorHandler(server: server, visitor: visitor, connection: connection))
            }
        }
        guard let handle, !handle.loop.inEventLoop else { return try setUp(channel) }
        // To the loop of the machine's link, before TLS has begun.
        try channel.pipeline.syncOperations.addHandler(
            RelocationHandler(to: handle.loop, connection: connection, setUp: setUp))
    }
}

/// Takes a new connection to another event loop with the bytes that it has sent.
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

/// Gives a connection that has moved the bytes that were read before.
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
