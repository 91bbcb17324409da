public import NIOCore
import NIOWebSocket
import Synchronization
public import Telemetry
import Wire

/// The relay: all rooms, and the handler that makes a WebSocket a peer.
public final class RelayServer: Sendable {
    private let authority: any RelayAuthority
    let configuration: RelayConfiguration
    let metrics: ServerMetrics
    private let rooms = Mutex<[String: RoomReference]>([:])

    public init(
        authority: any RelayAuthority, configuration: RelayConfiguration = .init(), metrics: ServerMetrics = .init()
    ) {
        self.authority = authority
        self.configuration = configuration
        self.metrics = metrics
    }

    /// How many rooms are open, with or without their host.
    public var roomCount: Int { rooms.withLock { $0.count } }

    /// Opens the room of a session that has just been made, or that the last run left active, and waits for its host.
    public func expectHost(sessionId: String, on loop: any EventLoop) {
        loop.execute { self.room(sessionId, on: loop).run { $0.expectHost() } }
    }

    /// Opens a room that the last run left behind, on `loop`: its people may take their seats again.
    /// - Returns: when the room is open.
    public func restore(_ stored: StoredRoom, on loop: any EventLoop) -> EventLoopFuture<Void> {
        loop.submit { self.room(stored.sessionId, on: loop).run { $0.restore(stored) } }
    }

    /// Tells the room of a session, if there is one, that it has ended; the caller has made that durable.
    public func sessionEnded(sessionId: String, reason: SessionEnd) {
        find(sessionId)?.run { $0.ended(reason) }
    }

    /// Tells every peer to come back later, and closes its connection.
    public func goAway(reconnectIn time: TimeAmount) {
        let milliseconds = Int(time.nanoseconds / 1_000_000)
        for room in rooms.withLock({ Array($0.values) }) {
            room.run { $0.goAway(reconnectInMilliseconds: milliseconds) }
        }
    }

    /// Makes a channel whose pipeline ends in a WebSocket frame decoder a peer of the relay. Call on the channel's loop.
    /// - Parameter address: the peer's network address, for rate limits.
    public func addPeer(to channel: any Channel, address: String) throws {
        // Peers write messages that are framed already, once for all receivers: past the encoder, which cannot be removed.
        let encoder = try channel.pipeline.syncOperations.context(handlerType: WebSocketFrameEncoder.self)
        try channel.pipeline.syncOperations.addHandler(
            PeerHandler(relay: self, authority: authority, address: address, pastEncoder: encoder))
    }

    func find(_ sessionId: String) -> RoomReference? { rooms.withLock { $0[sessionId] } }

    /// The room of a session; if there is none yet, it is opened on `loop`, which must be the current one.
    func room(_ sessionId: String, on loop: any EventLoop) -> RoomReference {
        rooms.withLock { rooms in
            if let known = rooms[sessionId] { return known }
            let live = LiveRoom(
                sessionId: sessionId, loop: loop, authority: authority, configuration: configuration, metrics: metrics,
                onEnd: { [weak self] id in
                    guard let self, self.rooms.withLock({ $0.removeValue(forKey: id) }) != nil else { return }
                    self.metrics.rooms.add(-1)
                })
            metrics.rooms.add(1)
            let opened = RoomReference(live, loop: loop)
            rooms[sessionId] = opened
            return opened
        }
    }
}
