public import NIOCore

/// A byte stream in the binary messages of a WebSocket. Handlers behind this one see it as a socket. Message boundaries
/// have no meaning.
///
/// Text messages are refused, pings are answered, and a close frame ends the stream in both directions.
public final class WebSocketStreamHandler: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// Maximum size of one message, in bytes: a batch of a link with its TLS is less than 128 KiB. Messages are
    /// buffered before the peer is identified.
    private static let maxMessageBytes = 160 << 10
    private static let maxFragments = 64
    /// Normal closure, and data of an unacceptable type (RFC 6455, section 7.4.1).
    private static let normal: UInt16 = 1000
    private static let unsupported: UInt16 = 1003

    private let role: WebSocketReader.Role
    private var reader: WebSocketReader
    private var isClosing = false

    public init(role: WebSocketReader.Role) {
        self.role = role
        reader = WebSocketReader(role: role, maxMessageBytes: Self.maxMessageBytes, maxFragments: Self.maxFragments)
    }

    // MARK: Inbound

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        reader.receive(unwrapInboundIn(data))
        do throws(WebSocketError) {
            while !isClosing, let message = try reader.next() { receive(message, context) }
        } catch { close(context, code: error.closeCode, reason: error.description) }
    }

    private func receive(_ message: WebSocketMessage, _ context: ChannelHandlerContext) {
        switch message.kind {
        case .binary: context.fireChannelRead(wrapInboundOut(message.payload))
        case .text: close(context, code: Self.unsupported, reason: "this WebSocket carries binary messages")
        case .ping:
            // A peer that sends pings but does not read gets no answer.
            if context.channel.isWritable { send(.pong, message.payload, context, promise: nil, flushes: true) }
        case .pong: break
        case .close: close(context, code: Self.normal, reason: "")
        }
    }

    // MARK: Outbound

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isClosing else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        send(.binary, unwrapOutboundIn(data), context, promise: promise, flushes: false)
    }

    private func send(
        _ opcode: WebSocketOpcode, _ payload: ByteBuffer, _ context: ChannelHandlerContext,
        promise: EventLoopPromise<Void>?, flushes: Bool
    ) {
        var frame = ByteBuffer()
        switch role {
        case .server:
            frame.writeWebSocketHeader(opcode, payloadBytes: payload.readableBytes)
            // The bytes are not copied.
            context.write(wrapOutboundOut(frame), promise: nil)
            context.write(wrapOutboundOut(payload), promise: promise)
        case .client:
            frame.writeMaskedWebSocketMessage(opcode, payload)
            context.write(wrapOutboundOut(frame), promise: promise)
        }
        if flushes { context.flush() }
    }

    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // A WebSocket has no input half that could be closed separately.
        guard mode != .input else { return context.close(mode: mode, promise: promise) }
        sayClose(context, code: Self.normal, reason: "")
        context.close(mode: .all, promise: promise)
    }

    private func close(_ context: ChannelHandlerContext, code: UInt16, reason: String) {
        sayClose(context, code: code, reason: reason)
        context.close(promise: nil)
    }

    private func sayClose(_ context: ChannelHandlerContext, code: UInt16, reason: String) {
        guard !isClosing else { return }
        isClosing = true
        switch role {
        case .server:
            context.writeAndFlush(wrapOutboundOut(WebSocketClose.frame(code: code, reason: reason)), promise: nil)
        case .client: send(.close, ByteBuffer(integer: code), context, promise: nil, flushes: true)
        }
    }
}
