import NIOCore
import Wire

/// A room's handle on one connected peer. Room and peer are confined to the same event loop.
struct PeerLink {
    let peer: PeerHandler
    /// The number of the connection within its seat.
    let attachment: Int

    var dialect: PeerDialect { peer.dialect }

    /// - Returns: whether the message counts as delivered.
    @discardableResult
    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) -> Bool { peer.deliver(bytes, kind) }

    /// Sends a message in the peer's own dialect.
    func say(_ message: ServerMessage) {
        if let framed = dialect.framed(message) { peer.deliver(framed.bytes, .control) }
    }

    func close(code: UInt16, reason: String) { peer.close(code: code, reason: reason) }
}

/// A peer's place in a room, as its connection knows it.
struct Seat {
    let room: LiveRoom
    let slot: Slot
    let attachment: Int
}

/// A room and its event loop, for use from other event loops.
struct RoomReference: Sendable {
    let loop: any EventLoop
    private let room: NIOLoopBound<LiveRoom>

    /// Must be made on `loop`.
    init(_ room: LiveRoom, loop: any EventLoop) {
        self.loop = loop
        self.room = NIOLoopBound(room, eventLoop: loop)
    }

    /// The room itself; nil if it is not on the current event loop.
    var here: LiveRoom? { loop.inEventLoop ? room.value : nil }

    func run(_ body: @escaping @Sendable (LiveRoom) -> Void) {
        if loop.inEventLoop { body(room.value) } else { loop.execute { body(room.value) } }
    }

    /// Runs a closure later, and so never in the middle of another operation of the room.
    func later(_ body: @escaping @Sendable (LiveRoom) -> Void) { loop.execute { body(room.value) } }
}
