import Model
public import NIOCore
import NIOHTTP1
import Outbound
import TransportSecurity
import WebSocket
public import Wire

/// The events of a relay connection, delivered on the owner's event loop.
public enum RelayEvent: Sendable {
    case opened
    case text(ServerMessage)
    case binary(ByteBuffer)
    /// The last event of this read batch.
    case readComplete
    case writable(Bool)
    /// The server is not the expected one; another attempt would fail as well.
    case untrusted(String)
    /// The connection could not be opened, or it ended. `code` is nil if there was no close frame.
    case closed(code: UInt16?, reason: String)
}

/// One WebSocket connection to `/relay`. It is confined to one event loop.
public final class RelaySocket {
    /// Silence after which the connection counts as lost. The server pings after 10 s, so 30 s are two lost pings.
    private static let silence = TimeAmount.seconds(30)
    /// Bytes in flight. Above `high`, the owner is told to stop.
    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 1 << 20)
    private static let connectTimeout = TimeAmount.seconds(10)
    /// Timeout from the first packet to the finished upgrade.
    private static let openTimeout = TimeAmount.seconds(15)
    /// While reading is paused, a pong is sent in this interval: the server gives up silent peers after 25 s.
    private static let keepAlive = TimeAmount.seconds(10)

    private let loop: any EventLoop
    private let onEvent: (RelayEvent) -> Void
    private var channel: (any Channel)?
    /// The channel before its upgrade.
    private var opening: (any Channel)?
    private var isClosed = false
    fileprivate private(set) var isPaused = false
    /// Sends pongs while reading is paused.
    private var keepAliveTimer: Scheduled<Void>?
    /// Messages that are not yet written to the channel.
    private var outgoing = ByteBuffer()
    /// Bytes were written to the channel and not flushed.
    private var needsFlush = false
    /// Above this many bytes `outgoing` is written to the channel.
    private static let gathered = 64 << 10

    /// Must be called on `loop`.
    public init(address: ServerAddress, loop: any EventLoop, onEvent: @escaping (RelayEvent) -> Void) {
        self.loop = loop
        self.onEvent = onEvent
        let bound = NIOLoopBound(self, eventLoop: loop)
        // Without this timeout, a path that fails after the connect would stay unnoticed for a quarter of an hour.
        loop.assumeIsolated().scheduleTask(in: Self.openTimeout) {
            guard self.channel == nil else { return }
            self.closed(code: nil, reason: "no response within \(Self.openTimeout.nanoseconds / 1_000_000_000) s")
            self.opening?.close(promise: nil)
        }
        connect(address, bound).hop(to: loop).assumeIsolated().whenComplete { result in
            if case .failure(let error) = result { self.closed(code: nil, reason: describe(error)) }
        }
    }

    public var isWritable: Bool { channel?.isWritable ?? false }

    public func send(_ message: ClientMessageText) { send(.text, JSONText.encode(message)) }

    public func send(_ frame: ByteBuffer) { send(.binary, frame) }

    public func flush() {
        guard needsFlush || outgoing.readableBytes > 0, let channel, !isClosed else { return }
        handOver()
        needsFlush = false
        channel.flush()
    }

    private func handOver() {
        guard outgoing.readableBytes > 0 else { return }
        let bytes = outgoing
        outgoing = ByteBuffer()
        needsFlush = true
        channel?.write(bytes, promise: nil)
    }

    /// Sends a close frame, then closes. After code 1000 the relay frees a guest's seat at once; a host may still
    /// return.
    public func close(code: UInt16 = CloseCode.normal) {
        guard let channel, !isClosed else { return }
        outgoing.writeMaskedWebSocketMessage(.close, ByteBuffer(integer: code))
        let last = outgoing
        outgoing = ByteBuffer()
        channel.writeAndFlush(last).whenComplete { _ in channel.close(promise: nil) }
    }

    /// Drops the connection without a close frame, as a network failure would.
    public func abandon() {
        isClosed = true
        channel?.close(promise: nil)
    }

    /// Pauses or resumes reading: back-pressure towards the relay.
    public func setReading(_ reading: Bool) {
        channel?.setOption(.autoRead, value: reading).whenFailure { _ in }
        if reading == isPaused {
            isPaused = !reading
            if isPaused { stayAlive() } else { keepAliveTimer?.cancel() }
        }
    }

    /// While reading is paused, pings cannot be answered, so pongs are sent unprompted.
    private func stayAlive() {
        guard isPaused, !isClosed, channel != nil else { return }
        send(.pong, ByteBuffer())
        flush()
        keepAliveTimer?.cancel()
        keepAliveTimer = loop.assumeIsolated().scheduleTask(in: Self.keepAlive) { self.stayAlive() }
    }

    fileprivate func send(_ opcode: WebSocketOpcode, _ data: ByteBuffer) {
        guard channel != nil, !isClosed else { return }
        outgoing.writeMaskedWebSocketMessage(opcode, data)
        // Not flushed: a flush could tell the owner in the middle of its output that the socket is writable, and it
        // would send more.
        if outgoing.readableBytes > Self.gathered { handOver() }
    }

    private func connect(_ address: ServerAddress, _ bound: NIOLoopBound<RelaySocket>) -> EventLoopFuture<Void> {
        do {
            let connector = try Connector.ofEnvironment(on: loop, connectTimeout: Self.connectTimeout)
            let tls = try address.tls()
            return connector.connect(host: address.host, port: address.port, tls: tls) { channel in
                bound.value.opening = channel
                try channel.syncOptions?.setOption(.writeBufferWaterMark, value: Self.waterMark)
                if tls != nil { try channel.pipeline.syncOperations.addHandler(TLSFailureHandler(bound.value)) }
                try Self.addUpgrade(to: channel, address, bound)
            }
        } catch { return loop.makeFailedFuture(error) }
    }

    private static func addUpgrade(
        to channel: any Channel, _ address: ServerAddress, _ bound: NIOLoopBound<RelaySocket>
    ) throws {
        let upgrader = WebSocketClientUpgrader { channel in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(IdleStateHandler(readTimeout: silence))
            try pipeline.addHandler(RelaySocketHandler(bound.value))
        }
        let headers: HTTPHeaders = [
            "Host": address.authority, "Content-Length": "0", "Sec-WebSocket-Protocol": relaySubprotocol,
        ]
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: relayPath, headers: headers)
        let configuration = NIOTypedHTTPClientUpgradeConfiguration(
            upgradeRequestHead: head, upgraders: [upgrader],
            notUpgradingCompletionHandler: { channel in
                channel.close(promise: nil)
                return channel.eventLoop.makeFailedFuture(
                    ClientError("\(address) does not offer the relay; is it a Postern server?"))
            })
        let outcome = try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
            configuration: .init(upgradeConfiguration: configuration))
        outcome.assumeIsolated().whenComplete { result in
            switch result {
            // Not earlier: nothing may be written until the HTTP handlers have left the pipeline.
            case .success: bound.value.opened(channel)
            case .failure(let error): bound.value.closed(code: nil, reason: describe(error))
            }
        }
    }

    // MARK: Called by the handler

    fileprivate func opened(_ channel: any Channel) {
        guard !isClosed else { return channel.close(promise: nil) }
        self.channel = channel
        onEvent(.opened)
        flush()
    }

    fileprivate func received(_ event: RelayEvent) { if !isClosed { onEvent(event) } }

    fileprivate func failed(_ error: TLSError) {
        guard error.code == .untrusted, !isClosed else { return closed(code: nil, reason: error.message) }
        isClosed = true
        onEvent(.untrusted(error.message))
    }

    fileprivate func closed(code: UInt16?, reason: String) {
        guard !isClosed else { return }
        isClosed = true
        onEvent(.closed(code: code, reason: reason))
    }
}

/// Reports why TLS failed before the handlers after it report that the connection is closed.
private final class TLSFailureHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let socket: RelaySocket

    init(_ socket: RelaySocket) { self.socket = socket }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { socket.failed(error) }
        context.fireErrorCaught(error)
    }
}

/// Carries messages between the socket's pipeline and its owner.
private final class RelaySocketHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let socket: RelaySocket
    private var reader = WebSocketReader(
        role: .client, maxMessageBytes: WireLimits.serverMessageBytes, maxFragments: WireLimits.fragmentsPerMessage)
    private var closing: (code: UInt16?, reason: String) = (nil, "the connection was lost")
    private var ignoresInput = false

    init(_ socket: RelaySocket) { self.socket = socket }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !ignoresInput else { return }
        reader.receive(unwrapInboundIn(data))
        do {
            while let message = try reader.next() { receive(message, context) }
        } catch {
            ignoresInput = true
            closing = (nil, error.description)
            context.close(promise: nil)
        }
    }

    private func receive(_ message: WebSocketMessage, _ context: ChannelHandlerContext) {
        switch message.kind {
        case .binary: socket.received(.binary(message.payload))
        case .text:
            // Events that this version does not know are ignored.
            if let message = try? JSONText.decode(ServerMessage.self, from: message.payload) {
                socket.received(.text(message))
            }
        case .ping: socket.send(.pong, message.payload)
        case .pong: break
        case .close:
            let close = WebSocketClose(message.payload)
            closing = (close.code, close.reason)
            ignoresInput = true
            var answer = ByteBuffer()
            answer.writeMaskedWebSocketMessage(.close, message.payload)
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in channel.close(promise: nil) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        socket.received(.readComplete)
        socket.flush()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        socket.received(.writable(context.channel.isWritable))
        socket.flush()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            if !socket.isPaused { context.close(promise: nil) }
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        socket.closed(code: closing.code, reason: closing.reason)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closing = (nil, describe(error))
        context.close(promise: nil)
    }
}
