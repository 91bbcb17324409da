public import NIOCore
import WebSocket

/// Carries a peer's bytes: a socket, possibly with TLS.
///
/// A room and all its peers are served on one event loop, so that their messages never cross threads. A connection is
/// accepted before its room is known, and moves once it is.
public protocol PeerTransport: Sendable {
    /// Continues a connection on another event loop. Call this on the channel's loop, and not from inside a read. The
    /// old channel is closed without sending anything to the peer.
    /// - Parameter install: adds the peer's handler to the new channel, on `loop`, before anything is read from it.
    /// - Returns: succeeds when the new channel is open; fails if it cannot be opened.
    /// - Throws: if the connection cannot move; it is unchanged.
    func move(
        _ channel: any Channel, to loop: any EventLoop, install: @escaping @Sendable (any Channel) throws -> Void
    ) throws -> EventLoopFuture<Void>
}

/// The state of a joining peer, for the handler that continues with it on another event loop.
struct PeerHandoff: Sendable {
    let address: String
    let transport: (any PeerTransport)?
    let dialect: PeerDialect
    let door: SocketIODoor?
    let reader: WebSocketReader?
    let liveness: PeerLiveness
    let held: [WebSocketMessage]
    let joinBy: NIODeadline
}
