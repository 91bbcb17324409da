import Glibc
import Histogram
import NIOCore

/// All rooms of a plan, from the first join to the last message, and what was seen of it.
final class Load {
    /// Rooms that are filled at once.
    private static let roomsAtOnce = 32
    /// Between the last join and the first message: some relays answer before a subscription stands.
    private static let settle = TimeAmount.milliseconds(200)
    /// Without a delivery for so long, what is missing is lost.
    private static let patience = TimeAmount.milliseconds(1500)

    private let plan: Plan
    private let loop: any EventLoop
    private let done: EventLoopPromise<String>
    private let filler: ByteBuffer
    private let announce: () -> Void
    private var rooms: [LoadRoom] = []
    private var readyRooms = 0
    private var delivered = 0
    /// Nothing more is published: only what is under way is waited for.
    private var isTimeUp = false
    private var isFinished = false
    private var lastDelivery = NIODeadline.now()
    private var begun: Int64 = 0
    private var busyBefore: Double = 0
    private var relayBefore: Double = 0
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)

    /// - Parameter announce: called when everybody is there, before the first message.
    init(_ plan: Plan, loop: any EventLoop, announce: @escaping () -> Void) {
        self.announce = announce
        self.plan = plan
        self.loop = loop
        done = loop.makePromise(of: String.self)
        filler = ByteBuffer(repeating: 7, count: max(0, plan.bytes - 8))
    }

    private var expected: Int {
        guard plan.seconds > 0 else { return plan.frames * (plan.guests - plan.stalled) * plan.rooms.count }
        return isTimeUp ? rooms.reduce(0) { $0 + $1.published } * (plan.guests - plan.stalled) : .max
    }

    func start() -> EventLoopFuture<String> {
        for _ in 0..<min(Self.roomsAtOnce, plan.rooms.count) { addRoom() }
        return done.futureResult
    }

    private func addRoom() {
        let index = rooms.count
        rooms.append(LoadRoom(plan, plan.rooms[index], loop: loop) { self.handle($0, index) })
    }

    private func handle(_ event: LoadRoom.Event, _ index: Int) {
        switch event {
        case .ready:
            readyRooms += 1
            if rooms.count < plan.rooms.count { addRoom() }
            if readyRooms == plan.rooms.count {
                loop.assumeIsolated().scheduleTask(in: Self.settle) { self.begin() }
            }
        case .delivery(let payload):
            delivered += 1
            if plan.mode == .latency, let sent = payload.getInteger(at: payload.readerIndex, as: Int64.self) {
                histogram.record(UInt64(max(0, Self.now() - sent)))
            }
            if delivered == expected { finish() }
        case .readComplete:
            if plan.mode == .throughput { publish(rooms[index]) }
        case .failed(let reason): if !isFinished { done.fail(LoadError("the load ended early: \(reason)")) }
        }
    }

    // MARK: Publishing

    private func begin() {
        announce()
        if plan.mode == .idle { return done.succeed("{}") }
        rooms.forEach { $0.stall(plan.stalled) }
        relayBefore = plan.relay.seconds
        begun = Self.now()
        busyBefore = Self.processorSeconds()
        lastDelivery = .now()
        watch(0)
        if plan.mode == .throughput {
            if plan.seconds > 0 {
                loop.assumeIsolated().scheduleTask(in: .seconds(Int64(plan.seconds))) {
                    self.isTimeUp = true
                    if self.delivered == self.expected { self.finish() }
                }
            }
            return rooms.forEach(publish)
        }
        publishAtRate(next: .now())
    }

    /// At absolute times, and stamped with them: a late message does not make itself look early.
    private func publishAtRate(next: NIODeadline) {
        for room in rooms {
            room.publish(payload(stamp: Int64(next.uptimeNanoseconds)))
            room.flush()
        }
        guard rooms[0].published < plan.frames else { return }
        let following = next + .nanoseconds(1_000_000_000 / Int64(plan.rate))
        if following <= .now() { return loop.assumeIsolated().execute { self.publishAtRate(next: following) } }
        loop.assumeIsolated().scheduleTask(deadline: following) { self.publishAtRate(next: following) }
    }

    /// Keeps `window` messages under way.
    private func publish(_ room: LoadRoom) {
        guard begun > 0, !isTimeUp, !isFinished else { return }
        while plan.seconds > 0 || room.published < plan.frames, room.published - room.completeCount < plan.window {
            room.publish(payload(stamp: 0))
        }
        room.flush()
    }

    private func payload(stamp: Int64) -> ByteBuffer {
        var payload = ByteBufferAllocator().buffer(capacity: plan.bytes)
        payload.writeInteger(stamp)
        payload.writeImmutableBuffer(filler)
        return payload
    }

    // MARK: Reporting

    private func watch(_ before: Int) {
        let now = delivered
        loop.assumeIsolated().scheduleTask(in: Self.patience) {
            guard !self.isFinished else { return }
            if self.delivered == now { self.finish() } else { self.watch(now) }
        }
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        // What was published until now was expected, also where the relay came to a stop before the time was up.
        isTimeUp = true
        let seconds = Double(Self.now() - begun) / 1e9
        let cpu = plan.relay.seconds - relayBefore
        let busy = (Self.processorSeconds() - busyBefore) / seconds
        let p50 = Double(histogram.valueAtPercentile(50)) / 1000
        let p99 = Double(histogram.valueAtPercentile(99)) / 1000
        done.succeed(
            """
            {"seconds":\(seconds),"deliveries":\(delivered),"lost":\(expected - delivered),\
            "cpu":\(cpu),"generatorBusy":\(busy),"p50":\(p50),"p99":\(p99)}
            """)
    }

    /// Nanoseconds of the clock that `NIODeadline` counts by.
    private static func now() -> Int64 { Int64(NIODeadline.now().uptimeNanoseconds) }

    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
