import NIOCore
import Wire

/// A room's handle on one connected peer, whatever loop that peer's socket lives on.
struct PeerLink: Sendable {
    let loop: any EventLoop
    /// Number of the connection within its seat.
    let attachment: Int
    /// False for a peer that speaks only JSON.
    let binary: Bool
    private let handler: NIOLoopBound<PeerHandler>

    /// Must be made on the peer's own loop.
    init(_ handler: PeerHandler, loop: any EventLoop, binary: Bool) {
        self.loop = loop
        self.binary = binary
        attachment = 0
        self.handler = NIOLoopBound(handler, eventLoop: loop)
    }

    private init(_ link: PeerLink, attachment: Int) {
        loop = link.loop
        binary = link.binary
        handler = link.handler
        self.attachment = attachment
    }

    func attached(as attachment: Int) -> PeerLink { PeerLink(self, attachment: attachment) }

    func run(_ body: @escaping @Sendable (PeerHandler) -> Void) {
        if loop.inEventLoop { body(handler.value) } else { loop.execute { body(handler.value) } }
    }

    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) {
        run { $0.deliver(bytes, kind) }
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

    func run(_ body: @escaping @Sendable (LiveRoom) -> Void) {
        if loop.inEventLoop { body(room.value) } else { loop.execute { body(room.value) } }
    }
}
