import NIOCore

@testable import Link

/// Numbers from a seed: the same schedule each time.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Two engines and the bytes between them, with a clock that tests move.
final class LinkWorld {
    /// One engine, what is on its way to it, and what its streams got.
    final class End {
        let engine: LinkEngine
        let budget: CreditBudget
        /// Bytes on their way to this end.
        var inbox = ByteBuffer()
        var opened: [LinkStream] = []
        var received: [UInt32: [UInt8]] = [:]
        var unconsumed: [UInt32: Int] = [:]
        var finished: Set<UInt32> = []
        var resets: [UInt32: ResetCode] = [:]
        var rejected: [UInt32: LinkRejection] = [:]
        var accepted: Set<UInt32> = []
        var writable: Set<UInt32> = []
        var calls: [UInt32] = []
        var answers: [UInt32] = []
        var failure: LinkError?
        var goAway: LinkGoAway?

        init(_ side: LinkEngine.Side, budget: Int, now: NIODeadline) {
            self.budget = CreditBudget(limit: budget)
            engine = LinkEngine(
                .init(side: side, maxStreams: 1000, opensPerSecond: 100_000), budget: self.budget, now: now)
        }

        func take(now: NIODeadline) {
            for event in engine.takeEvents() {
                switch event {
                case .hello(let hello):
                    engine.welcome(LinkWelcome(software: "test", link: "l", maxStreams: 1000), to: hello, now: now)
                case .welcome: break
                case .opened(let stream): opened.append(stream)
                case .accepted(let stream): accepted.insert(stream.id)
                case .rejected(let stream, let reason): rejected[stream.id] = reason
                case .data(let stream, let bytes):
                    received[stream.id, default: []] += Array(bytes.readableBytesView)
                    unconsumed[stream.id, default: 0] += bytes.readableBytes
                case .finished(let stream): finished.insert(stream.id)
                case .reset(let stream, let code): resets[stream.id] = code
                case .writable(let stream): writable.insert(stream.id)
                case .call(let number, _): calls.append(number)
                case .answer(let number, _): answers.append(number)
                case .goAway(let reason): goAway = reason
                case .failed(let error): failure = error
                }
            }
        }
    }

    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    let machine: End
    let server: End

    init(machineBudget: Int = 64 << 20, serverBudget: Int = 64 << 20) {
        machine = End(.machine, budget: machineBudget, now: now)
        server = End(.server, budget: serverBudget, now: now)
        machine.engine.greet(LinkHello(software: "test", token: "t", instance: "i"))
        settle()
    }

    /// Moves what one end has to say onto the way to the other.
    func send(from end: End, atMost bytes: Int = 1 << 20) {
        let other = end === machine ? server : machine
        for buffer in end.engine.output(atMost: bytes) { other.inbox.writeImmutableBuffer(buffer) }
        end.take(now: now)
    }

    /// - Parameter bytes: how much of what is on its way arrives.
    func deliver(to end: End, atMost bytes: Int = .max) {
        let count = min(bytes, end.inbox.readableBytes)
        guard count > 0, let part = end.inbox.readSlice(length: count) else { return }
        end.engine.receive(part, now: now)
        end.take(now: now)
    }

    /// Until nobody has anything to say.
    func settle() {
        for _ in 0..<10_000 {
            send(from: machine)
            send(from: server)
            if machine.inbox.readableBytes == 0, server.inbox.readableBytes == 0 { return }
            deliver(to: server)
            deliver(to: machine)
        }
    }

    func advance(_ time: TimeAmount) {
        now = now + time
        machine.engine.tick(now: now)
        server.engine.tick(now: now)
        machine.take(now: now)
        server.take(now: now)
    }

    func consumeAll(_ end: End) {
        for (id, count) in end.unconsumed where count > 0 {
            guard let stream = end.engine.streams[id] else { continue }
            end.engine.consume(stream, count, now: now)
        }
        end.unconsumed = [:]
    }

    func stream(_ end: End) throws -> LinkStream {
        try end.engine.open(LinkOpen(tunnel: "t", peer: "p", host: "h", trace: ""), now: now)
    }
}

extension ByteBuffer {
    /// Bytes that tell their place.
    static func pattern(from offset: Int, count: Int) -> ByteBuffer {
        ByteBuffer(bytes: (offset..<offset + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }
}
