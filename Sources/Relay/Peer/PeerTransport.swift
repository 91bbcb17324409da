public import NIOCore
import WebSocket

/// What carries a peer's bytes: a socket, perhaps with TLS around it.
///
/// A room and all its peers are served on one event loop, so that nothing said in it crosses a thread. A connection is
/// accepted before anybody knows which room it is for; it moves when that is known.
public protocol PeerTransport: Sendable {
    /// Goes on with a connection on another loop. Call on the channel's loop, and not from inside a read; the old channel
    /// is closed without a word to the peer.
    /// - Parameter install: adds the peer's handler to the new channel, on `loop`, before anything is read from it.
    /// - Returns: when the new channel is open, or why it never will be.
    /// - Throws: where the connection cannot leave; it is as it was.
    func move(
        _ channel: any Channel, to loop: any EventLoop, install: @escaping @Sendable (any Channel) throws -> Void
    ) throws -> EventLoopFuture<Void>
}

/// The state of a peer that is joining, for the handler that goes on with it on another loop.
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
