import NIOCore
import Wire

/// A Socket.IO connection to the relay: interprets its packets, as a pure state machine.
struct SocketIODoor {
    enum Action: Equatable {
        case send(String)
        case message(ClientMessage, ack: MessageId?)
        /// The protocol does not allow the event.
        case refuse(ack: MessageId?, String)
        /// The peer disconnects deliberately.
        case leave
    }

    /// Engine.IO has its own pings and expects one in this interval, in milliseconds.
    static let pingMilliseconds = WireLimits.pingAfterSeconds * 1000
    private static let timeoutMilliseconds = WireLimits.goneAfterPingSeconds * 1000
    static let ping = "2"

    private let sid: String
    private var isConnected = false

    /// - Parameter sid: names the connection to the client. It has no other use.
    init(sid: String) { self.sid = sid }

    /// The first packet, sent before the client sends anything.
    var open: String {
        """
        0{"sid":"\(sid)","upgrades":[],"pingInterval":\(Self.pingMilliseconds),\
        "pingTimeout":\(Self.timeoutMilliseconds),"maxPayload":\(WireLimits.messageBytes)}
        """
    }

    /// The last packet of a connection whose client must not reconnect by itself.
    static let disconnect = "41\(SocketIOPacket.namespace),"

    /// - Throws: ``MessageError`` if the text is not Socket.IO.
    mutating func receive(_ text: ByteBuffer) throws(MessageError) -> Action? {
        switch try SocketIOPacket.parse(text) {
        case .close, .disconnect(SocketIOPacket.namespace): return .leave
        case .ping(let payload): return .send("3" + String(buffer: payload))
        case .pong, .other, .disconnect: return nil
        case .connect(SocketIOPacket.namespace):
            isConnected = true
            return .send("40\(SocketIOPacket.namespace),{\"sid\":\"\(sid)\"}")
        case .connect(let other):
            return .send("44\(other == "/" ? "" : other + ","){\"message\":\"Invalid namespace\"}")
        case .event(let namespace, let ack, let json):
            let id = ack.map { MessageId.number($0) }
            guard isConnected, namespace == SocketIOPacket.namespace else {
                throw MessageError("connect to the namespace \(SocketIOPacket.namespace) first")
            }
            do {
                let event = try JSONText.decode(Event.self, from: json)
                return .message(try ClientMessage(event.payload, type: event.name, bytes: json.readableBytes), ack: id)
            } catch {
                // The payload is the array's second element, and its fields are what the client knows.
                let reason = error.description
                return .refuse(ack: id, reason.hasPrefix("1.") ? String(reason.dropFirst(2)) : reason)
            }
        }
    }

    /// `["name", {payload}]`. An event without a payload counts as one with an empty payload.
    private struct Event: Decodable {
        let name: String
        let payload: ClientMessageText

        init(from decoder: any Decoder) throws {
            var array = try decoder.unkeyedContainer()
            name = try array.decode(String.self)
            payload = array.isAtEnd ? ClientMessageText() : try array.decode(ClientMessageText.self)
        }
    }
}
