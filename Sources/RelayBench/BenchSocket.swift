import Client
import NIOCore
import NIOPosix
import TransportSecurity
import WebSocket

/// One WebSocket as a load generator wants it: whatever the path and the subprotocol, as little work per message as can be.
/// Everything about it happens on one event loop.
final class BenchSocket {
    enum Event {
        case opened
        case message(WebSocketMessage)
        /// The last event of this read.
        case readComplete
        case closed(String)
    }

    /// Messages leave together up to this many bytes.
    private static let gathered = 256 << 10
    private static let connectTimeout = TimeAmount.seconds(10)

    private let onEvent: (Event) -> Void
    private var channel: (any Channel)?
    private var outgoing = ByteBuffer()
    private var isClosed = false

    /// - Parameters:
    ///   - path: with its query.
    ///   - subprotocol: empty for none.
    init(
        address: ServerAddress, path: String, subprotocol: String, loop: any EventLoop,
        onEvent: @escaping (Event) -> Void
    ) {
        self.onEvent = onEvent
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(Self.connectTimeout)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            // A read takes what there is: the generator must not be the bottleneck.
            .channelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 65536, maximum: 262_144)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls = try address.tls() {
                        try pipeline.addHandler(TLSHandler.client(tls, serverName: address.host))
                    }
                    try pipeline.addHandler(
                        BenchSocketHandler(bound.value, address: address, path: path, subprotocol: subprotocol))
                }
            }
            .connect(host: address.host, port: address.port)
            .hop(to: loop).assumeIsolated()
            .whenFailure { self.closed("\($0)") }
    }

    /// Sends with the next ``flush()``.
    func send(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        outgoing.writeMaskedWebSocketMessage(opcode, payload)
        if outgoing.readableBytes > Self.gathered { flush() }
    }

    func flush() {
        guard outgoing.readableBytes > 0 else { return }
        channel?.writeAndFlush(outgoing, promise: nil)
        outgoing = ByteBuffer()
    }

    /// Drops the connection without a word.
    func abandon() {
        isClosed = true
        channel?.close(promise: nil)
    }

    func setReading(_ reading: Bool) { channel?.setOption(.autoRead, value: reading).whenFailure { _ in } }

    fileprivate func opened(_ channel: any Channel) {
        self.channel = channel
        onEvent(.opened)
        flush()
    }

    fileprivate func received(_ event: Event) { if !isClosed { onEvent(event) } }

    fileprivate func closed(_ reason: String) {
        guard !isClosed else { return }
        isClosed = true
        onEvent(.closed(reason))
    }
}

private final class BenchSocketHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The longest answer to an upgrade, in bytes.
    private static let headBytes = 8192

    private let socket: BenchSocket
    private let request: String
    private var head: ByteBuffer? = ByteBuffer()
    private var reader = WebSocketReader(role: .client, maxMessageBytes: 4 << 20, maxFragments: 64)

    init(_ socket: BenchSocket, address: ServerAddress, path: String, subprotocol: String) {
        self.socket = socket
        let name = subprotocol.isEmpty ? "" : "Sec-WebSocket-Protocol: \(subprotocol)\r\n"
        request = """
            GET \(path) HTTP/1.1\r\nHost: \(address.authority)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(name)\r\n
            """
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if head == nil { reader.receive(bytes) } else { readHead(bytes, context) }
        guard head == nil else { return }
        do {
            while let message = try reader.next() { receive(message) }
        } catch {
            socket.closed(error.description)
            context.close(promise: nil)
        }
    }

    private func receive(_ message: WebSocketMessage) {
        switch message.kind {
        case .ping: socket.send(.pong, message.payload)
        case .pong: break
        case .close: socket.closed("closed: \(WebSocketClose(message.payload))")
        case .text, .binary: socket.received(.message(message))
        }
    }

    private func readHead(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        head?.writeImmutableBuffer(bytes)
        guard var whole = head else { return }
        let text = String(buffer: whole)
        guard let end = text.utf8.indices.first(where: { text.utf8[$0...].starts(with: "\r\n\r\n".utf8) }) else {
            if whole.readableBytes > Self.headBytes { context.close(promise: nil) }
            return
        }
        guard text.hasPrefix("HTTP/1.1 101") else {
            socket.closed("no upgrade: \(text.prefix { $0 != "\r\n" })")
            return context.close(promise: nil)
        }
        whole.moveReaderIndex(forwardBy: text.utf8.distance(from: text.startIndex, to: end) + 4)
        head = nil
        socket.opened(context.channel)
        if whole.readableBytes > 0 { reader.receive(whole) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        socket.received(.readComplete)
        socket.flush()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        socket.closed("the connection was lost")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socket.closed("\(error)")
        context.close(promise: nil)
    }
}
