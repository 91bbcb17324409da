import NIOCore
import Wire

/// A room's handle on one connected peer, whatever loop that peer's socket lives on.
struct PeerLink: Sendable {
    let loop: any EventLoop
    /// Number of the connection within its seat.
    let attachment: Int
    let dialect: PeerDialect
    private let handler: NIOLoopBound<PeerHandler>

    /// Must be made on the peer's own loop.
    init(_ handler: PeerHandler, loop: any EventLoop, dialect: PeerDialect) {
        self.loop = loop
        self.dialect = dialect
        attachment = 0
        self.handler = NIOLoopBound(handler, eventLoop: loop)
    }

    private init(_ link: PeerLink, attachment: Int) {
        loop = link.loop
        dialect = link.dialect
        handler = link.handler
        self.attachment = attachment
    }

    func attached(as attachment: Int) -> PeerLink { PeerLink(self, attachment: attachment) }

    func run(_ body: @escaping @Sendable (PeerHandler) -> Void) {
        if loop.inEventLoop { body(handler.value) } else { loop.execute { body(handler.value) } }
    }

    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) {
        // The hot path: no closure where none is needed.
        if loop.inEventLoop { handler.value.deliver(bytes, kind) } else { run { $0.deliver(bytes, kind) } }
    }

    /// Says something in the peer's own dialect.
    func say(_ message: ServerMessage) {
        if let framed = dialect.framed(message) { deliver(framed.bytes, .control) }
    }

    func close(code: UInt16, reason: String) {
        run { $0.close(code: code, reason: reason) }
    }
}

/// A peer's place in a room, as its connection knows it.
struct Seat: Sendable {
    let room: RoomReference
    let slot: Slot
    let attachment: Int
}

/// A room and the loop it lives on.
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
}
