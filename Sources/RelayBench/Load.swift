import Client
import Glibc
import Histogram
import NIOCore
import Wire

/// One host and its guests, from the first join to the last frame.
final class Load {
    struct Plan: Sendable {
        let address: ServerAddress
        let token: String
        let session: String
        let code: String
        let mode: RelayBench.Mode
        let guests: Int
        let bytes: Int
        let frames: Int
        let window: Int
        let rate: Int
    }

    /// Joins under way at once: the relay's own limits are not what is measured.
    private static let joinsAtOnce = 64

    private let plan: Plan
    private let loop: any EventLoop
    private let done: EventLoopPromise<String>
    private var host: RelaySocket?
    private var guests: [RelaySocket] = []
    private var seated = 0
    private var ready = 0
    private var published = 0
    /// Deliveries seen, and the frames that every guest has.
    private var delivered = 0
    private var begun: Int64 = 0
    private var usageBefore: Double = 0
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)

    init(_ plan: Plan, loop: any EventLoop) {
        self.plan = plan
        self.loop = loop
        done = loop.makePromise(of: String.self)
    }

    func start() -> EventLoopFuture<String> {
        host = RelaySocket(address: plan.address, loop: loop) { self.hostEvent($0) }
        return done.futureResult
    }

    // MARK: Joining

    private func hostEvent(_ event: RelayEvent) {
        switch event {
        case .opened:
            var join = ClientMessageText(type: "joinAsHost")
            join.token = plan.token
            join.sessionId = plan.session
            join.binary = true
            host?.send(join)
            host?.flush()
        case .text(let message):
            if message.type == .ack {
                guard message.success == true else { return fail(message.error) }
                for _ in 0..<min(Self.joinsAtOnce, plan.guests) { addGuest() }
            } else if message.type == .guestJoined, let slot = message.slot {
                greet(slot)
            }
        case .untrusted(let reason): fail(reason)
        case .closed(_, let reason): fail("host: \(reason)")
        case .binary, .readComplete, .writable: break
        }
    }

    private func addGuest() {
        let index = guests.count
        guests.append(RelaySocket(address: plan.address, loop: loop) { self.guestEvent($0, index) })
    }

    private func guestEvent(_ event: RelayEvent, _ index: Int) {
        switch event {
        case .opened:
            var join = ClientMessageText(type: "joinAsGuest")
            join.token = plan.token
            join.code = plan.code
            join.guestPublicKey = "k"
            join.binary = true
            guests[index].send(join)
            guests[index].flush()
        case .text(let message):
            guard message.type == .ack else { return }
            guard message.success == true else { return fail(message.error) }
            seated += 1
            if guests.count < plan.guests { addGuest() }
        case .binary(let frame): received(frame)
        case .untrusted(let reason): fail(reason)
        case .closed(_, let reason): fail("guest \(index): \(reason)")
        case .readComplete, .writable: break
        }
    }

    /// Broadcasts begin with a snapshot.
    private func greet(_ slot: Slot) {
        host?.send(frame(.snapshot, sequence: 0, slot: slot, bytes: 16))
        host?.flush()
    }

    // MARK: Publishing

    private func received(_ frame: ByteBuffer) {
        if frame.getInteger(at: frame.readerIndex + 1, as: UInt8.self) == FrameKind.snapshot.rawValue {
            ready += 1
            if ready == plan.guests { begin() }
            return
        }
        delivered += 1
        if plan.mode == .latency, let sent = frame.getInteger(at: frame.readerIndex + FrameHeader.size, as: Int64.self)
        {
            histogram.record(UInt64(max(0, Self.now() - sent)))
        }
        if delivered == plan.frames * plan.guests { return finish() }
        if plan.mode == .throughput, delivered % plan.guests == 0 { publish() }
    }

    private func begin() {
        if plan.mode == .idle { return done.succeed("ready") }
        begun = Self.now()
        usageBefore = Self.processorSeconds()
        if plan.mode == .throughput { return publish() }
        publishAtRate(next: .now())
    }

    /// At absolute times: a late frame does not make all that follow late.
    private func publishAtRate(next: NIODeadline) {
        publishOne()
        guard published < plan.frames else { return }
        let following = next + .nanoseconds(1_000_000_000 / Int64(plan.rate))
        loop.assumeIsolated().scheduleTask(deadline: following) { self.publishAtRate(next: following) }
    }

    /// Keeps `window` frames under way.
    private func publish() {
        let complete = delivered / plan.guests
        while published < plan.frames, published - complete < plan.window { publishOne(flush: false) }
        host?.flush()
    }

    private func publishOne(flush: Bool = true) {
        published += 1
        host?.send(frame(.broadcast, sequence: UInt64(published), slot: 0, bytes: plan.bytes))
        if flush { host?.flush() }
    }

    private func frame(_ kind: FrameKind, sequence: UInt64, slot: Slot, bytes: Int) -> ByteBuffer {
        var frame = ByteBuffer()
        FrameHeader(kind: kind, slot: slot, epoch: 1, sequence: sequence).write(into: &frame)
        frame.writeInteger(Self.now())
        frame.writeRepeatingByte(7, count: max(0, bytes - 8))
        return frame
    }

    // MARK: Reporting

    private func finish() {
        let seconds = Double(Self.now() - begun) / 1e9
        let busy = (Self.processorSeconds() - usageBefore) / seconds
        let p50 = Double(histogram.valueAtPercentile(50)) / 1000
        let p99 = Double(histogram.valueAtPercentile(99)) / 1000
        done.succeed(
            #"{"seconds":\#(seconds),"deliveries":\#(delivered),"generatorBusy":\#(busy),"p50":\#(p50),"p99":\#(p99)}"#)
    }

    private func fail(_ reason: String?) {
        done.fail(ClientError("the load ended early: \(reason ?? "refused")"))
    }

    /// Nanoseconds of the monotonic clock.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
