public import Background
public import Model
public import NIOCore
import Synchronization
public import Telemetry
import Wire

/// The relay: all rooms, and the handler that makes a WebSocket a peer.
public final class RelayServer: Sendable {
    let authority: any RelayAuthority
    let configuration: RelayConfiguration
    let metrics: RelayMetrics
    /// What each room handed to its peers, in bytes.
    let byteCounters: KeptCounters
    /// What is written down behind an event that nobody waits for.
    let background: BackgroundWork
    private let registry: Mutex<RoomRegistry>
    private let revocations = Mutex<[(peers: RevokedPeers, until: NIODeadline)]>([])
    /// What peers are told to wait before they come back, in milliseconds; negative while the server is not stopping.
    private let reconnectIn = Atomic(-1)
    /// One for each event loop that has had a peer.
    private let clocks = Mutex<[ObjectIdentifier: NIOLoopBound<LoopClock>]>([:])

    /// - Parameters:
    ///   - group: rooms are spread over its loops.
    ///   - byteCounters: where rooms count the bytes they hand to their peers.
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

    /// What may wait for one peer, in bytes, as far as all peers together allow it.
    var outboxCapacity: Int {
        metrics.queueBytes.value > configuration.allOutboxesBytes ? RelayConfiguration.crowdedOutboxBytes : .max
    }

    /// How many rooms are open, with or without their host.
    public var roomCount: Int { registry.withLock { $0.count } }

    /// Opens the room of a session that has just been made, and waits for its host.
    /// - Returns: when the room is open.
    public func expectHost(sessionId: String, timeLimit: TimeLimit? = nil) -> EventLoopFuture<Void> {
        open(sessionId) { $0.expectHost(timeLimit) }
    }

    /// Opens a room that the last run left behind: its people may take their seats again.
    /// - Returns: when the room is open.
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

    /// Tells the room of a session, if there is one, that it has ended; the caller has made that durable.
    public func sessionEnded(sessionId: String, reason: SessionEnd) {
        find(sessionId)?.run { $0.ended(reason) }
    }

    /// Cuts off whoever was let in by what is not good any more. The caller has made that durable.
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

    /// For whoever was admitted before and comes to the room after.
    var recentlyRevoked: [RevokedPeers] {
        let now = NIODeadline.now()
        return revocations.withLock { known in
            if known.isEmpty { return [] }
            known.removeAll { $0.until <= now }
            return known.map(\.peers)
        }
    }

    /// What the open rooms handed to their peers so far, in bytes by session.
    public func bytesRelayed() async -> [String: Int] {
        var found: [String: Int] = [:]
        for (id, room) in registry.withLock({ $0.byId }) {
            let bytes = try? await room.loop.submit { room.here?.byteCounter?.value ?? 0 }.get()
            if let bytes, bytes > 0 { found[id] = bytes }
        }
        return found
    }

    /// Whether the server is stopping: whoever still comes is sent away again.
    var isGoingAway: Bool { reconnectIn.load(ordering: .relaxed) >= 0 }

    /// What a peer is told when the server stops.
    var goingAwayMessage: ServerMessage {
        var notice = ServerMessage(.goingAway)
        notice.reconnectInMilliseconds = reconnectIn.load(ordering: .relaxed)
        return notice
    }

    /// Tells every peer to come back later, and closes its connection.
    public func goAway(reconnectIn time: TimeAmount) {
        reconnectIn.store(Int(time.nanoseconds / 1_000_000), ordering: .relaxed)
        for room in registry.withLock({ $0.all }) { room.run { $0.goAway() } }
    }

    /// Makes a channel a peer of the relay: from here on it speaks RFC 6455. Call on the channel's loop.
    /// - Parameters:
    ///   - address: the peer's network address, for rate limits.
    ///   - isSocketIO: the peer speaks Socket.IO inside its WebSocket messages.
    ///   - transport: takes the peer to its room's loop; nil where there is only one.
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

/// Which rooms there are, and on which loops: a new one goes where the fewest are, and stays there.
private struct RoomRegistry {
    private var rooms: [String: RoomReference] = [:]
    private var loops: [(loop: any EventLoop, rooms: Int)]

    init(loops: [any EventLoop]) { self.loops = loops.map { ($0, 0) } }

    var count: Int { rooms.count }
    var all: [RoomReference] { Array(rooms.values) }
    var byId: [String: RoomReference] { rooms }

    subscript(sessionId: String) -> RoomReference? { rooms[sessionId] }

    /// The loop for a new room, which counts from now on: a server that starts opens many before the first is there.
    mutating func choose() -> any EventLoop {
        // A group has at least one loop.
        let loop = loops.min { $0.rooms < $1.rooms }!.loop
        count(loop, 1)
        return loop
    }

    /// - Returns: false where the room is open already.
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
