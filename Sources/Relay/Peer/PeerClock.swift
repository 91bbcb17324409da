import NIOCore

/// Looks at every peer of one event loop once a second: one timer for all of them, where one for each would cost more memory
/// than the peer itself. Confined to the loop.
final class PeerClock {
    /// Deadlines of peers are met to within this.
    private static let tick = TimeAmount.seconds(1)

    private let loop: any EventLoop
    private var peers: [ObjectIdentifier: PeerHandler] = [:]
    private var isTicking = false

    init(loop: any EventLoop) { self.loop = loop }

    func add(_ peer: PeerHandler) {
        peers[ObjectIdentifier(peer)] = peer
        if !isTicking { schedule() }
    }

    func remove(_ peer: PeerHandler) { peers[ObjectIdentifier(peer)] = nil }

    private func schedule() {
        isTicking = !peers.isEmpty
        guard isTicking else { return }
        loop.assumeIsolated().scheduleTask(in: Self.tick) {
            let now = NIODeadline.now()
            // A peer that is closed by this leaves the dictionary, not the copy.
            for peer in Array(self.peers.values) { peer.tick(now) }
            self.schedule()
        }
    }
}
