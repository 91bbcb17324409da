import NIOCore

/// An object with deadlines that must be met to within a second.
protocol Ticking: AnyObject {
    func tick(_ now: NIODeadline)
}

/// Ticks every peer and room of one event loop once a second. One timer serves all of them: a timer each would cost
/// more memory than the peer itself, and would keep closed peers alive until it fires. Confined to the loop.
final class LoopClock {
    /// The precision of deadlines.
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
            // A peer that this closes removes itself from the dictionary, not from the copy.
            for member in Array(self.members.values) { member.tick(now) }
            self.schedule()
        }
    }
}
