public import Background
public import Model
public import NIOCore
import Synchronization
public import Telemetry
import Wire

/// The relay: all rooms, and the method that turns a WebSocket into a peer.
public final class RelayServer: Sendable {
    let authority: any RelayAuthority
    let configuration: RelayConfiguration
    let metrics: RelayMetrics
    /// Bytes that each room has sent to its peers.
    let byteCounters: KeptCounters
    /// Writes that follow an event and that nothing waits for.
    let background: BackgroundWork
    private let registry: Mutex<RoomRegistry>
    private let revocations = Mutex<[(peers: RevokedPeers, until: NIODeadline)]>([])
    /// Milliseconds that peers are told to wait before they reconnect; negative while the server is not stopping.
    private let reconnectIn = Atomic(-1)
    /// One for each event loop that has had a peer.
    private let clocks = Mutex<[ObjectIdentifier: NIOLoopBound<LoopClock>]>([:])

    /// - Parameters:
    ///   - group: rooms are distributed over its event loops.
    ///   - byteCounters: counts the bytes that rooms send to their peers.
    public init(
        authority: any RelayAuthority, group: any EventLoopGroup, configuration: RelayConfiguration = .init(),
        metrics: RelayMetrics = .init(), byteCounters: KeptCounters = .init(), background: BackgroundWork = .init()
    ) {
        self.byteCounters = byteCounters
        self.background = background
        self.authority = authority
        self.configuration = configuration
        self.metrics = metrics
        registry = Mutex(RoomRegistry(loops: Array(group.makeIterator())))
    }

    /// Bytes that may be queued for one peer, given what is queued for all peers together.
    var outboxCapacity: Int {
        metrics.queueBytes.value > configuration.allOutboxesBytes ? RelayConfiguration.crowdedOutboxBytes : .max
    }

    /// How many rooms are open, with or without their host.
    public var roomCount: Int { registry.withLock { $0.count } }

    /// Opens the room of a new session, which then waits for its host.
    /// - Returns: completes when the room is open.
    public func expectHost(sessionId: String, timeLimit: TimeLimit? = nil) -> EventLoopFuture<Void> {
        open(sessionId) { $0.expectHost(timeLimit) }
    }

    /// Opens a room that was stored by the previous run. Its members may resume their seats.
    /// - Returns: completes when the room is open.
    public func restore(_ stored: StoredRoom) -> EventLoopFuture<Void> {
        open(stored.sessionId, initialBytes: stored.bytesRelayed) { $0.restore(stored) }
    }

    private func open(
        _ sessionId: String, initialBytes: Int = 0, _ begin: @escaping @Sendable (LiveRoom) -> Void
    ) -> EventLoopFuture<Void> {
        let loop = registry.withLock { $0.choose() }
        return loop.submit {
            let counter = self.byteCounters.open(sessionId, from: initialBytes)
            let live = LiveRoom(sessionId: sessionId, loop: loop, relay: self, byteCounter: counter)
            let isNew = self.registry.withLock { $0.add(RoomReference(live, loop: loop), sessionId) }
            guard isNew else { return self.byteCounters.close(counter.place) }
            self.metrics.rooms.add(1)
            begin(live)
        }
    }

    /// Tells the room of a session, if there is one, that the session has ended. The caller has already made that
    /// durable.
    public func sessionEnded(sessionId: String, reason: SessionEnd) {
        find(sessionId)?.run { $0.ended(reason) }
    }

    /// Disconnects peers whose credential is no longer valid. The caller has already made the revocation durable.
    public func revoke(_ peers: RevokedPeers) {
        let now = NIODeadline.now()
        revocations.withLock { known in
            known.removeAll { $0.until <= now }
            if known.count < RelayConfiguration.revocationsKept {
                known.append((peers, now + RelayConfiguration.revocationTime))
            }
        }
        for room in registry.withLock({ $0.all }) { room.run { $0.revoke(peers) } }
    }

    /// For peers that were admitted before a revocation and enter their room after it.
    var recentlyRevoked: [RevokedPeers] {
        let now = NIODeadline.now()
        return revocations.withLock { known in
            if known.isEmpty { return [] }
            known.removeAll { $0.until <= now }
            return known.map(\.peers)
        }
    }

    /// Bytes that the open rooms have sent to their peers so far, by session.
    public func bytesRelayed() async -> [String: Int] {
        var found: [String: Int] = [:]
        for (id, room) in registry.withLock({ $0.byId }) {
            let bytes = try? await room.loop.submit { room.here?.byteCounter?.value ?? 0 }.get()
            if let bytes, bytes > 0 { found[id] = bytes }
        }
        return found
    }

    /// Whether the server is stopping. Peers that still connect are sent away.
    var isGoingAway: Bool { reconnectIn.load(ordering: .relaxed) >= 0 }

    /// The message that peers get when the server stops.
    var goingAwayMessage: ServerMessage {
        var notice = ServerMessage(.goingAway)
        notice.reconnectInMilliseconds = reconnectIn.load(ordering: .relaxed)
        return notice
    }

    /// Tells every peer to reconnect later, and closes its connection.
    public func goAway(reconnectIn time: TimeAmount) {
        reconnectIn.store(Int(time.nanoseconds / 1_000_000), ordering: .relaxed)
        for room in registry.withLock({ $0.all }) { room.run { $0.goAway() } }
    }

    /// Makes a channel a peer of the relay. From then on the channel speaks RFC 6455. Call this on the channel's event
    /// loop.
    /// - Parameters:
    ///   - address: the peer's network address, for rate limits.
    ///   - isSocketIO: whether the peer speaks Socket.IO inside its WebSocket messages.
    ///   - transport: moves the peer to its room's event loop; nil if there is only one loop.
    public func addPeer(
        to channel: any Channel, address: String, isSocketIO: Bool, transport: (any PeerTransport)?
    ) throws {
        let handler = PeerHandler(
            relay: self, address: address, clock: clock(of: channel.eventLoop), isSocketIO: isSocketIO,
            transport: transport)
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// - Parameter loop: the current one.
    func clock(of loop: any EventLoop) -> LoopClock {
        clocks.withLock { clocks in
            let id = ObjectIdentifier(loop)
            let clock = clocks[id] ?? NIOLoopBound(LoopClock(loop: loop), eventLoop: loop)
            clocks[id] = clock
            return clock
        }.value
    }

    func find(_ sessionId: String) -> RoomReference? { registry.withLock { $0[sessionId] } }

    func ended(sessionId: String) {
        if registry.withLock({ $0.remove(sessionId) }) { metrics.rooms.add(-1) }
    }
}

/// The open rooms and their event loops. A new room goes to the loop with the fewest rooms, and stays there.
private struct RoomRegistry {
    private var rooms: [String: RoomReference] = [:]
    private var loops: [(loop: any EventLoop, rooms: Int)]

    init(loops: [any EventLoop]) { self.loops = loops.map { ($0, 0) } }

    var count: Int { rooms.count }
    var all: [RoomReference] { Array(rooms.values) }
    var byId: [String: RoomReference] { rooms }

    subscript(sessionId: String) -> RoomReference? { rooms[sessionId] }

    /// Chooses the loop for a new room, and counts the room at once: at its start, a server opens many rooms before the
    /// first one is complete.
    mutating func choose() -> any EventLoop {
        // A group has at least one loop.
        let loop = loops.min { $0.rooms < $1.rooms }!.loop
        count(loop, 1)
        return loop
    }

    /// - Returns: false if the room is already open.
    mutating func add(_ room: RoomReference, _ sessionId: String) -> Bool {
        guard rooms[sessionId] == nil else {
            count(room.loop, -1)
            return false
        }
        rooms[sessionId] = room
        return true
    }

    mutating func remove(_ sessionId: String) -> Bool {
        guard let room = rooms.removeValue(forKey: sessionId) else { return false }
        count(room.loop, -1)
        return true
    }

    private mutating func count(_ loop: any EventLoop, _ change: Int) {
        for index in loops.indices where loops[index].loop === loop { loops[index].rooms += change }
    }
}
