import NIOCore
import WebSocket

/// MQTT 3.1.1 over WebSocket, quality of service 0.
struct MQTTDialect: Dialect {
    let role: Role
    private let topic: String
    private let client: String
    private var stream = ByteBuffer()

    init(role: Role, topic: String, client: String) {
        self.role = role
        self.topic = topic
        self.client = client
    }

    var path: String { "/mqtt" }
    var subprotocol: String { "mqtt" }

    func opened() -> [Outgoing] {
        var body = ByteBuffer()
        Self.write("MQTT", to: &body)
        // Level 4, a clean session, no keep-alive.
        body.writeMultipleIntegers(UInt8(4), UInt8(2), UInt16(0))
        Self.write(client, to: &body)
        return [.binary(Self.packet(0x10, body))]
    }

    mutating func received(_ message: WebSocketMessage) throws -> [Incoming] {
        message.append(to: &stream)
        var events: [Incoming] = []
        while let (type, body) = nextPacket() {
            switch type >> 4 {
            case 2:
                guard role == .subscriber else {
                    events.append(.ready)
                    break
                }
                var subscribe = ByteBuffer(integer: UInt16(1))
                Self.write(topic, to: &subscribe)
                subscribe.writeInteger(UInt8(0))
                events.append(.reply(.binary(Self.packet(0x82, subscribe))))
            case 9: events.append(.ready)
            case 3:
                var body = body
                let name = body.readInteger(as: UInt16.self) ?? 0
                body.moveReaderIndex(forwardBy: Int(name))
                events.append(.delivery(body))
            default: break
            }
        }
        if stream.readableBytes == 0 { stream.clear() } else { stream.discardReadBytes() }
        return events
    }

    private mutating func nextPacket() -> (UInt8, ByteBuffer)? {
        guard let type = stream.getInteger(at: stream.readerIndex, as: UInt8.self) else { return nil }
        var length = 0
        var size = 1
        while true {
            guard let byte = stream.getInteger(at: stream.readerIndex + size, as: UInt8.self) else { return nil }
            length |= Int(byte & 0x7F) << (7 * (size - 1))
            size += 1
            if byte & 0x80 == 0 { break }
        }
        guard stream.readableBytes >= size + length else { return nil }
        stream.moveReaderIndex(forwardBy: size)
        return (type, stream.readSlice(length: length) ?? ByteBuffer())
    }

    func publish(_ payload: ByteBuffer) -> Outgoing {
        var body = ByteBufferAllocator().buffer(capacity: 2 + topic.utf8.count + payload.readableBytes)
        Self.write(topic, to: &body)
        body.writeImmutableBuffer(payload)
        return .binary(Self.packet(0x30, body))
    }

    private static func write(_ text: String, to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt16(text.utf8.count))
        buffer.writeString(text)
    }

    private static func packet(_ type: UInt8, _ body: ByteBuffer) -> ByteBuffer {
        var packet = ByteBufferAllocator().buffer(capacity: body.readableBytes + 5)
        packet.writeInteger(type)
        var length = body.readableBytes
        repeat {
            packet.writeInteger(UInt8(length & 0x7F) | (length > 0x7F ? 0x80 : 0))
            length >>= 7
        } while length > 0
        packet.writeImmutableBuffer(body)
        return packet
    }
}
