import NIOCore
import Wire

/// Socket.IO protocol 5 over Engine.IO protocol 4, as far as the current desktop client uses it: text packets of one
/// namespace. https://socket.io/docs/v4/socket-io-protocol/
///
///     4 2 /relay, 12 ["joinAsHost",{…}]
///     | | |       |  |
///     | | |       |  the event's name and its payload
///     | | |       number that the acknowledgement repeats, or nothing
///     | | namespace
///     | Socket.IO: 0 connect, 1 disconnect, 2 event, 3 acknowledgement, 4 refused
///     Engine.IO: 0 open, 1 close, 2 ping, 3 pong, 4 message
enum SocketIOPacket: Equatable {
    case close
    case ping(ByteBuffer)
    case pong
    case connect(namespace: String)
    case disconnect(namespace: String)
    /// `json` is the array of name and payload.
    case event(namespace: String, ack: Int?, json: ByteBuffer)
    /// Valid but ignored: an acknowledgement, which the relay never asks for.
    case other

    static let namespace = "/relay"
    /// Digits of an acknowledgement's number: more than a client can count to.
    private static let ackDigits = 15
    /// Maximum payload of a ping, which its pong repeats, in bytes: the same as for WebSocket's own.
    private static let pingBytes = 125
    /// Maximum length of a namespace, in bytes.
    private static let namespaceBytes = 64

    /// - Throws: ``MessageError``.
    static func parse(_ text: ByteBuffer) throws(MessageError) -> SocketIOPacket {
        var rest = text
        switch rest.readInteger(as: UInt8.self) {
        case UInt8(ascii: "1"): return .close
        case UInt8(ascii: "2"):
            guard rest.readableBytes <= pingBytes else {
                throw MessageError("a ping must be at most \(pingBytes) bytes long")
            }
            return .ping(rest)
        case UInt8(ascii: "3"): return .pong
        case UInt8(ascii: "4"): return try message(&rest)
        default: throw MessageError("not an Engine.IO 4 packet")
        }
    }

    private static func message(_ rest: inout ByteBuffer) throws(MessageError) -> SocketIOPacket {
        guard let type = rest.readInteger(as: UInt8.self) else { throw MessageError("an empty Socket.IO packet") }
        guard type != UInt8(ascii: "5"), type != UInt8(ascii: "6") else {
            throw MessageError("binary Socket.IO packets are not supported; send strings")
        }
        var namespace = "/"
        if rest.getInteger(at: rest.readerIndex, as: UInt8.self) == UInt8(ascii: "/") {
            let view = rest.readableBytesView.prefix(Self.namespaceBytes)
            // A packet that ends with its namespace needs no comma.
            let end = view.firstIndex(of: UInt8(ascii: ",")) ?? view.endIndex
            namespace = rest.readString(length: end - view.startIndex) ?? ""
            rest.moveReaderIndex(forwardBy: min(1, rest.readableBytes))
        }
        var ack: Int?
        var digits = 0
        while let byte = rest.getInteger(at: rest.readerIndex, as: UInt8.self), (0x30...0x39).contains(byte) {
            digits += 1
            guard digits <= Self.ackDigits else { throw MessageError("an acknowledgement's number is too long") }
            ack = (ack ?? 0) * 10 + Int(byte - 0x30)
            rest.moveReaderIndex(forwardBy: 1)
        }
        switch type {
        case UInt8(ascii: "0"): return .connect(namespace: namespace)
        case UInt8(ascii: "1"): return .disconnect(namespace: namespace)
        case UInt8(ascii: "2"): return .event(namespace: namespace, ack: ack, json: rest)
        case UInt8(ascii: "3"): return .other
        default: throw MessageError("not a Socket.IO 5 packet")
        }
    }

    // MARK: Server packets

    /// An event, or an acknowledgement; nil for an acknowledgement that the client did not ask for.
    static func framed(_ message: ServerMessage) -> FramedMessage? {
        var body = message
        body.id = nil
        let json = JSONText.encode(body)
        guard message.type == .ack else { return text("42\(namespace),[\"\(message.type.rawValue)\",", json, "]") }
        guard case .number(let number) = message.id else { return nil }
        return text("43\(namespace),\(number)[", json, "]")
    }

    static func text(_ text: String) -> FramedMessage { .text(ByteBuffer(string: text)) }

    private static func text(_ head: String, _ json: ByteBuffer, _ tail: String) -> FramedMessage {
        var text = ByteBuffer()
        text.reserveCapacity(head.utf8.count + json.readableBytes + tail.utf8.count)
        text.writeString(head)
        text.writeImmutableBuffer(json)
        text.writeString(tail)
        return .text(text)
    }
}
