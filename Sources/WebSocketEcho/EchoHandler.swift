import NIOCore
import WebSocket

final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Conformance cases send messages of 16 MiB, and some thousand fragments.
    private var reader = WebSocketReader(role: .server, maxMessageBytes: 32 << 20, maxFragments: 1 << 20)
    private var isClosing = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        reader.receive(unwrapInboundIn(data))
        do {
            while !isClosing, let message = try reader.next() { answer(message, context) }
        } catch {
            close(context, WebSocketClose.frame(code: error.closeCode, reason: error.description))
        }
    }

    private func answer(_ message: WebSocketMessage, _ context: ChannelHandlerContext) {
        switch message.kind {
        case .text: send(.text, message, context)
        case .binary: send(.binary, message, context)
        case .ping: send(.pong, message, context)
        case .pong: break
        case .close:
            let close = WebSocketClose(message.payload)
            self.close(context, WebSocketClose.frame(code: close.code ?? 1000, reason: ""))
        }
    }

    private func send(_ opcode: WebSocketOpcode, _ message: WebSocketMessage, _ context: ChannelHandlerContext) {
        var bytes = ByteBufferAllocator().buffer(capacity: message.count + 10)
        bytes.writeWebSocketHeader(opcode, payloadBytes: message.count)
        message.append(to: &bytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    private func close(_ context: ChannelHandlerContext, _ frame: ByteBuffer) {
        isClosing = true
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(frame)).whenComplete { _ in
            bound.value.close(mode: .output, promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { context.fireChannelInactive() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
