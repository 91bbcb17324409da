import NIOCore
import WebSocket

/// Relays whose message is the payload itself: nginx with nchan, and scripts/peers/node-ws.js.
struct BareDialect: Dialect {
    let role: Role
    private let channel: String

    init(role: Role, channel: String) {
        self.role = role
        self.channel = channel
    }

    var path: String { (role == .publisher ? "/pub/" : "/sub/") + channel }
    var subprotocol: String { "" }

    var isReadyWhenOpen: Bool { true }

    func opened() -> [Outgoing] { [] }

    func received(_ message: WebSocketMessage) -> [Incoming] {
        // nchan answers a publisher with a text about the channel.
        message.kind == .binary ? [.delivery(message.payload)] : []
    }

    func publish(_ payload: ByteBuffer) -> Outgoing { .binary(payload) }
}
