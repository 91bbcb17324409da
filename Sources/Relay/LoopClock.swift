import NIOCore

/// Whoever has deadlines that are met to within a second.
protocol Ticking: AnyObject {
    func tick(_ now: NIODeadline)
}

/// Looks at every peer and room of one event loop once a second: one timer for all of them, where one for each would cost more
/// memory than the peer itself, and keep what is over until its time has come. Confined to the loop.
final class LoopClock {
    /// Deadlines are met to within this.
    private static let tick = TimeAmount.seconds(1)

    private let loop: any EventLoop
    private var members: [ObjectIdentifier: any Ticking] = [:]
    private var isTicking = false

    init(loop: any EventLoop) { self.loop = loop }

    func add(_ member: any Ticking) {
        members[ObjectIdentifier(member)] = member
        if !isTicking { schedule() }
    }

    func remove(_ member: any Ticking) { members[ObjectIdentifier(member)] = nil }

    private func schedule() {
        isTicking = !members.isEmpty
        guard isTicking else { return }
        loop.assumeIsolated().scheduleTask(in: Self.tick) {
            let now = NIODeadline.now()
            // A peer that is closed by this leaves the dictionary, not the copy.
            for member in Array(self.members.values) { member.tick(now) }
            self.schedule()
        }
    }
}
