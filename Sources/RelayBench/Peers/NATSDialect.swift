import NIOCore
import WebSocket

/// nats-server over WebSocket: its text protocol, cut into messages wherever it likes.
struct NATSDialect: Dialect {
    let role: Role
    private let subject: String
    private var stream = ByteBuffer()

    init(role: Role, subject: String) {
        self.role = role
        self.subject = subject
    }

    var path: String { "/" }
    var subprotocol: String { "" }

    func opened() -> [Outgoing] {
        let connect = #"CONNECT {"verbose":false,"pedantic":false,"echo":true,"lang":"bench","version":"1"}"# + "\r\n"
        return [.binary(ByteBuffer(string: connect + (role == .subscriber ? "SUB \(subject) 1\r\n" : "") + "PING\r\n"))]
    }

    mutating func received(_ message: WebSocketMessage) throws -> [Incoming] {
        message.append(to: &stream)
        var events: [Incoming] = []
        while let event = try next() { event.map { events.append($0) } ?? () }
        if stream.readableBytes == 0 { stream.clear() } else { stream.discardReadBytes() }
        return events
    }

    /// - Returns: nil when more bytes are needed; an event that means nothing here is `.some(nil)`.
    private mutating func next() throws -> Incoming?? {
        let view = stream.readableBytesView
        guard let end = view.firstIndex(of: UInt8(ascii: "\r")), end + 1 < view.endIndex else { return nil }
        let lineBytes = end - view.startIndex
        if view.starts(with: "MSG ".utf8) {
            var length = 0
            for byte in view[view.startIndex..<end].reversed().prefix(while: { $0 != UInt8(ascii: " ") }).reversed() {
                length = length * 10 + Int(byte) - 48
            }
            guard stream.readableBytes >= lineBytes + 2 + length + 2 else { return nil }
            stream.moveReaderIndex(forwardBy: lineBytes + 2)
            let payload = stream.readSlice(length: length) ?? ByteBuffer()
            stream.moveReaderIndex(forwardBy: 2)
            return .some(.delivery(payload))
        }
        let line = stream.readString(length: lineBytes) ?? ""
        stream.moveReaderIndex(forwardBy: 2)
        switch line.prefix(4) {
        case "PONG": return .some(.ready)
        case "PING": return .some(.reply(.binary(ByteBuffer(string: "PONG\r\n"))))
        case "-ERR": throw LoadError(line)
        default: return .some(nil)
        }
    }

    func publish(_ payload: ByteBuffer) -> Outgoing {
        var bytes = ByteBuffer(string: "PUB \(subject) \(payload.readableBytes)\r\n")
        bytes.writeImmutableBuffer(payload)
        bytes.writeString("\r\n")
        return .binary(bytes)
    }
}
