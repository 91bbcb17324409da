import NIOCore
import NIOEmbedded
import WebSocket
import Wire

@testable import Relay

/// One connection between a client and the relay, without a socket: what either side says waits until the schedule carries it.
final class Line {
    let channel: EmbeddedChannel
    let handler: PeerHandler
    /// Said by the client, not yet with the relay.
    private var up: [ByteBuffer] = []
    /// Said by the relay, not yet with the client.
    private var down: [ByteBuffer] = []
    private var reader = WebSocketReader(role: .client, maxMessageBytes: WireLimits.serverMessageBytes, maxFragments: 1)
    private(set) var isCut = false

    init(_ relay: RelayServer, _ loop: EmbeddedEventLoop) throws {
        channel = EmbeddedChannel(loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try relay.addPeer(to: channel, address: "127.0.0.1", isSocketIO: false, transport: nil)
        handler = try channel.pipeline.syncOperations.handler(type: PeerHandler.self)
    }

    func send(_ message: ClientMessageText) { send(.text, JSONText.encode(message)) }
    func send(_ frame: ByteBuffer) { send(.binary, frame) }

    /// The person leaves: what was under way arrives, then the farewell, and nothing more is heard.
    func sayGoodbye() throws {
        var code = ByteBuffer()
        code.writeInteger(CloseCode.normal)
        send(.close, code)
        try carryUp()
        cut()
    }

    private func send(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        var bytes = ByteBuffer()
        bytes.writeMaskedWebSocketMessage(opcode, payload)
        up.append(bytes)
    }

    /// Carries some of what waits to the relay, as one read.
    func carryUp(_ most: Int = .max) throws {
        var read = ByteBuffer()
        for _ in 0..<min(most, up.count) {
            var part = up.removeFirst()
            read.writeBuffer(&part)
        }
        if read.readableBytes > 0, channel.isActive { try channel.writeInbound(read) }
    }

    /// What the relay has said, in the client's terms: some of it.
    func carryDown(_ most: Int = .max) throws -> [WebSocketMessage] {
        try collect()
        var messages: [WebSocketMessage] = []
        for _ in 0..<min(most, down.count) {
            reader.receive(down.removeFirst())
            while let message = try reader.next() { messages.append(message) }
        }
        return messages
    }

    private func collect() throws {
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { down.append(bytes) }
    }

    /// Nothing is under way in either direction.
    func isQuiet() throws -> Bool {
        try collect()
        return up.isEmpty && down.isEmpty
    }

    /// A reader that has stopped, or goes on.
    func setWritable(_ writable: Bool) {
        guard channel.isWritable != writable else { return }
        channel.isWritable = writable
        channel.pipeline.fireChannelWritabilityChanged()
    }

    /// The network fails: what was under way is gone.
    func cut() {
        isCut = true
        up.removeAll()
        down.removeAll()
        if channel.isActive { channel.close(promise: nil) }
    }
}
