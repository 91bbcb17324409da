import NIOCore
import NIOWebSocket
import Wire

/// A WebSocket message ready for the socket: framed once (RFC 6455, section 5.2, unmasked as servers send), and then the
/// same bytes for every receiver.
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
        let json = JSONText.encode(message)
        var bytes = ByteBufferAllocator().buffer(capacity: json.readableBytes + 10)
        let framing = writeFraming(opcode: 0x1, length: json.readableBytes, into: &bytes)
        bytes.writeImmutableBuffer(json)
        return FramedMessage(bytes: bytes, framing: framing, isText: true)
    }

    static func binary(_ frame: ByteBuffer) -> FramedMessage {
        var bytes = ByteBufferAllocator().buffer(capacity: frame.readableBytes + 10)
        let framing = appendBinary(frame, to: &bytes)
        return FramedMessage(bytes: bytes, framing: framing, isText: false)
    }

    /// Appends one binary message and returns the length of its framing.
    static func appendBinary(_ frame: ByteBuffer, to buffer: inout ByteBuffer) -> Int {
        let framing = writeFraming(opcode: 0x2, length: frame.readableBytes, into: &buffer)
        buffer.writeImmutableBuffer(frame)
        return framing
    }

    /// A control frame: ping (0x9), pong (0xA) or close (0x8). The payload is at most 125 bytes (section 5.5).
    static func control(opcode: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        var bytes = ByteBufferAllocator().buffer(capacity: payload.readableBytes + 2)
        _ = writeFraming(opcode: opcode, length: payload.readableBytes, into: &bytes)
        bytes.writeImmutableBuffer(payload)
        return bytes
    }

    static func close(code: UInt16, reason: String) -> ByteBuffer {
        var payload = ByteBuffer()
        payload.writeInteger(code)
        // 123 bytes are left for the reason; a cut inside a character would not be UTF-8.
        var text = reason
        while text.utf8.count > 123 { text.removeLast() }
        payload.writeString(text)
        return control(opcode: 0x8, payload)
    }

    private static func writeFraming(opcode: UInt8, length: Int, into buffer: inout ByteBuffer) -> Int {
        buffer.writeInteger(0x80 | opcode)
        switch length {
        case ..<126:
            buffer.writeInteger(UInt8(length))
            return 2
        case ..<65536:
            buffer.writeMultipleIntegers(UInt8(126), UInt16(length))
            return 4
        default:
            buffer.writeMultipleIntegers(UInt8(127), UInt64(length))
            return 10
        }
    }
}
