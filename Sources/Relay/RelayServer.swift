public import NIOCore
import Synchronization
public import Telemetry
import Wire

/// The relay: all rooms, and the handler that makes a WebSocket a peer.
public final class RelayServer: Sendable {
    let authority: any RelayAuthority
    let configuration: RelayConfiguration
    let metrics: ServerMetrics
    private let rooms = Mutex<[String: RoomReference]>([:])
    /// One for each event loop that has had a peer.
    private let clocks = Mutex<[ObjectIdentifier: NIOLoopBound<PeerClock>]>([:])

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

    /// Makes a channel a peer of the relay: from here on it speaks RFC 6455. Call on the channel's loop.
    /// - Parameters:
    ///   - address: the peer's network address, for rate limits.
    ///   - isSocketIO: the peer speaks Socket.IO inside its WebSocket messages.
    public func addPeer(to channel: any Channel, address: String, isSocketIO: Bool) throws {
        let handler = PeerHandler(
            relay: self, authority: authority, address: address, clock: clock(of: channel.eventLoop),
            isSocketIO: isSocketIO)
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// - Parameter loop: the current one.
    private func clock(of loop: any EventLoop) -> PeerClock {
        clocks.withLock { clocks in
            let id = ObjectIdentifier(loop)
            let clock = clocks[id] ?? NIOLoopBound(PeerClock(loop: loop), eventLoop: loop)
            clocks[id] = clock
            return clock
        }.value
    }

    func find(_ sessionId: String) -> RoomReference? { rooms.withLock { $0[sessionId] } }

    /// The room of a session; if there is none yet, it is opened on `loop`, which must be the current one.
    private func room(_ sessionId: String, on loop: any EventLoop) -> RoomReference {
        rooms.withLock { rooms in
            if let known = rooms[sessionId] { return known }
            metrics.rooms.add(1)
            let opened = open(sessionId, on: loop)
            rooms[sessionId] = opened
            return opened
        }
    }

    private func open(_ sessionId: String, on loop: any EventLoop) -> RoomReference {
        RoomReference(LiveRoom(sessionId: sessionId, loop: loop, relay: self), loop: loop)
    }

    func ended(sessionId: String) {
        if rooms.withLock({ $0.removeValue(forKey: sessionId) }) != nil { metrics.rooms.add(-1) }
    }

    /// Opens a room that nobody has entered on another loop instead; what is executed there afterwards finds it.
    func move(_ sessionId: String, to loop: any EventLoop) {
        loop.execute {
            let opened = self.open(sessionId, on: loop)
            // Ended in between: then it is gone for good.
            self.rooms.withLock { if $0[sessionId] != nil { $0[sessionId] = opened } }
        }
    }
}
