import NIOCore
import Wire

/// A room's handle on one connected peer. Room and peer are confined to the same event loop.
struct PeerLink {
    let peer: PeerHandler
    /// Number of the connection within its seat.
    let attachment: Int

    var dialect: PeerDialect { peer.dialect }

    /// - Returns: whether the peer gets it.
    @discardableResult
    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) -> Bool { peer.deliver(bytes, kind) }

    /// Says something in the peer's own dialect.
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

/// A room and the loop it lives on, for whoever is elsewhere.
struct RoomReference: Sendable {
    let loop: any EventLoop
    private let room: NIOLoopBound<LiveRoom>

    /// Must be made on `loop`.
    init(_ room: LiveRoom, loop: any EventLoop) {
        self.loop = loop
        self.room = NIOLoopBound(room, eventLoop: loop)
    }

    /// The room itself, where it lives on the current loop.
    var here: LiveRoom? { loop.inEventLoop ? room.value : nil }

    func run(_ body: @escaping @Sendable (LiveRoom) -> Void) {
        if loop.inEventLoop { body(room.value) } else { loop.execute { body(room.value) } }
    }

    /// Not now, and so not in the middle of what the room does.
    func later(_ body: @escaping @Sendable (LiveRoom) -> Void) { loop.execute { body(room.value) } }
}
