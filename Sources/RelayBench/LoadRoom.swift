import NIOCore

/// One publisher and its subscribers.
final class LoadRoom {
    enum Event {
        /// Everybody is there.
        case ready
        /// A payload arrived at one of the subscribers.
        case delivery(ByteBuffer)
        case readComplete
        case failed(String)
    }

    private let plan: Plan
    private let room: Plan.Room
    private let loop: any EventLoop
    private let onEvent: (Event) -> Void
    private var sockets: [BenchSocket] = []
    private var dialects: [any Dialect] = []
    private var readyPeers = 0
    private(set) var published = 0
    /// Messages that each subscriber has received.
    private var delivered: [Int] = []
    /// Messages that every subscriber has received.
    private(set) var completeCount = 0

    init(_ plan: Plan, _ room: Plan.Room, loop: any EventLoop, onEvent: @escaping (Event) -> Void) {
        self.plan = plan
        self.room = room
        self.loop = loop
        self.onEvent = onEvent
        delivered = Array(repeating: 0, count: plan.guests)
        add(.publisher)
    }

    func publish(_ payload: ByteBuffer) {
        published += 1
        let message = dialects[0].publish(payload)
        sockets[0].send(message.opcode, message.bytes)
    }

    func flush() { sockets[0].flush() }

    /// The last guests stop reading.
    func stall(_ count: Int) { sockets.dropFirst().suffix(count).forEach { $0.setReading(false) } }

    private func add(_ role: Role) {
        let index = sockets.count
        let dialect = plan.dialect(role, room, index)
        dialects.append(dialect)
        sockets.append(
            BenchSocket(address: plan.address, path: dialect.path, subprotocol: dialect.subprotocol, loop: loop) {
                [unowned self] in handle($0, index)
            })
    }

    private func handle(_ event: BenchSocket.Event, _ index: Int) {
        switch event {
        case .opened:
            for message in dialects[index].opened() { sockets[index].send(message.opcode, message.bytes) }
            sockets[index].flush()
            if dialects[index].isReadyWhenOpen { ready() }
        case .message(let message):
            do {
                for event in try dialects[index].received(message) {
                    switch event {
                    case .ready: ready()
                    case .delivery(let payload): if index > 0 { delivery(payload, index - 1) }
                    case .reply(let answer): sockets[index].send(answer.opcode, answer.bytes)
                    }
                }
            } catch {
                onEvent(.failed("\(error)"))
            }
        case .readComplete: onEvent(.readComplete)
        case .closed(let reason): onEvent(.failed("peer \(index): \(reason)"))
        }
    }

    /// A message is under way until everybody has it.
    private func delivery(_ payload: ByteBuffer, _ subscriber: Int) {
        delivered[subscriber] += 1
        if delivered[subscriber] == completeCount + 1 { completeCount = delivered.min() ?? 0 }
        onEvent(.delivery(payload))
    }

    /// One joins after the other: joining is not what is measured.
    private func ready() {
        readyPeers += 1
        if readyPeers == 1 + plan.guests { return onEvent(.ready) }
        if readyPeers == sockets.count { add(.subscriber) }
    }
}
