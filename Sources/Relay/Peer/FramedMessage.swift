import NIOCore
import WebSocket
import Wire

/// A WebSocket message that is ready for the socket. It is framed once (RFC 6455, section 5.2, unmasked as servers
/// send), and the same bytes go to every receiver.
struct FramedMessage {
    let bytes: ByteBuffer
    /// Length of the WebSocket framing before the payload.
    let framing: Int
    let isText: Bool

    /// The message's own bytes.
    var payload: ByteBuffer {
        var payload = bytes
        payload.moveReaderIndex(forwardBy: framing)
        return payload
    }

    static func text(_ message: ServerMessage) -> FramedMessage {
        FramedMessage(.text, JSONText.encode(message))
    }

    static func binary(_ frame: ByteBuffer) -> FramedMessage { FramedMessage(.binary, frame) }

    /// A ping or a pong. The payload is at most 125 bytes (section 5.5).
    static func control(_ opcode: WebSocketOpcode, _ payload: ByteBuffer = ByteBuffer()) -> FramedMessage {
        FramedMessage(opcode, payload)
    }

    /// A whole message that is already framed.
    init(framed bytes: ByteBuffer, isText: Bool) {
        self.bytes = bytes
        framing = bytes.webSocketHeaderBytes
        self.isText = isText
    }

    /// A text that is already encoded.
    static func text(_ text: ByteBuffer) -> FramedMessage { FramedMessage(.text, text) }

    private init(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        var bytes = ByteBufferAllocator().buffer(capacity: payload.readableBytes + 10)
        framing = bytes.writeWebSocketHeader(opcode, payloadBytes: payload.readableBytes)
        bytes.writeImmutableBuffer(payload)
        self.bytes = bytes
        isText = opcode == .text
    }
}
