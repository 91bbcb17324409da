import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// A name server for one delegated name, `_acme-challenge.DOMAIN`. It answers a certificate authority's dns-01 queries
/// (RFC 8555, section 8.4) over UDP and TCP, and refuses all other queries.
public final class DNSResponder: Sendable {
    private let zone: Mutex<DNSZone>
    private let channels: Mutex<[any Channel]>

    /// The maximum size of a query, in bytes. Real queries are far shorter.
    static let questionBytes = 1024
    /// The maximum duration of a TCP connection with all its queries.
    static let connectionTime = TimeAmount.seconds(5)

    private init(zone: DNSZone) {
        self.zone = Mutex(zone)
        channels = Mutex([])
    }

    /// - Parameters:
    ///   - name: the delegated name, in lower case.
    ///   - server: this server's name, as in the delegation.
    /// - Throws: the system's error if the address cannot be bound.
    public static func start(
        name: String, server: String, host: String, port: Int, group: any EventLoopGroup
    ) async throws -> DNSResponder {
        let responder = DNSResponder(zone: DNSZone(name: name, server: server))
        let udp = try await DatagramBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramAnswers(responder))
                }
            }.bind(host: host, port: port).get()
        responder.channels.withLock { $0.append(udp) }
        let bound = udp.localAddress?.port ?? port
        let tcp = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StreamAnswers(responder))
                }
            }.bind(host: host, port: bound).get()
        responder.channels.withLock { $0.append(tcp) }
        return responder
    }

    public func close() { for channel in channels.withLock({ $0 }) { channel.close(promise: nil) } }

    /// - Parameter name: the zone's name, or one below it.
    func add(_ text: String, at name: String) {
        zone.withLock { zone in
            if name == zone.name { zone.texts.append(text) } else { zone.below[name, default: []].append(text) }
        }
    }

    func remove(_ text: String, at name: String) {
        zone.withLock { zone in
            if name == zone.name { return zone.texts.removeAll { $0 == text } }
            zone.below[name]?.removeAll { $0 == text }
            if zone.below[name]?.isEmpty == true { zone.below[name] = nil }
        }
    }

    func answer(_ message: ByteBuffer) -> ByteBuffer? {
        guard message.readableBytes <= Self.questionBytes, let question = DNSQuestion(message) else { return nil }
        return zone.withLock { $0.answer(question) }
    }
}

private final class DatagramAnswers: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let responder: DNSResponder

    init(_ responder: DNSResponder) { self.responder = responder }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let asked = unwrapInboundIn(data)
        guard let answer = responder.answer(asked.data) else { return }
        context.writeAndFlush(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: asked.remoteAddress, data: answer)), promise: nil)
    }
}

/// Reads and writes messages with a length prefix (RFC 1035, section 4.2.2).
private final class StreamAnswers: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let responder: DNSResponder
    private var input = ByteBuffer()
    private var deadline: Scheduled<Void>?

    init(_ responder: DNSResponder) { self.responder = responder }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: DNSResponder.connectionTime) { bound.value.close(promise: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        input.discardReadBytes()
        input.writeBuffer(&bytes)
        while let message = input.getLengthPrefixedSlice(at: input.readerIndex, as: UInt16.self) {
            input.moveReaderIndex(forwardBy: 2 + message.readableBytes)
            guard let answer = responder.answer(message) else { return context.close(promise: nil) }
            var framed = ByteBuffer(integer: UInt16(answer.readableBytes))
            framed.writeImmutableBuffer(answer)
            context.writeAndFlush(wrapOutboundOut(framed), promise: nil)
        }
        if input.readableBytes > DNSResponder.questionBytes { context.close(promise: nil) }
    }
}
