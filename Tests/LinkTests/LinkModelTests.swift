import Glibc
import NIOCore
import Testing

@testable import Link

/// Schedules from a fixed seed: `SCHEDULES=100000 swift test --filter LinkModelTests` runs more of them.
private let schedules = getenv("SCHEDULES").flatMap { Int(String(cString: $0)) } ?? 1000

/// Both ends open streams, write, read late, finish half, reset and reject at random, over a connection that delays and cuts at random.
/// Whatever happens: bytes arrive once and in order, nobody sends more than was granted, and memory stays within its bounds.
@Suite struct LinkModelTests {
    private struct Sender {
        let stream: LinkStream
        var written = 0
        var isFinished = false
    }

    private final class Side {
        let end: LinkWorld.End
        var senders: [UInt32: Sender] = [:]

        init(_ end: LinkWorld.End) { self.end = end }
    }

    @Test func bytesArriveOnceAndInOrderWhateverHappens() throws {
        for seed in 0..<schedules { try run(seed) }
    }

    private func run(_ seed: Int) throws {
        var random = Seeded(seed)
        let budget = [1 << 18, 1 << 20, 16 << 20][Int.random(in: 0..<3, using: &random)]
        let world = LinkWorld(machineBudget: budget, serverBudget: 16 << 20)
        let sides = [Side(world.machine), Side(world.server)]
        for _ in 0..<Int.random(in: 20...200, using: &random) {
            let side = sides[Int.random(in: 0...1, using: &random)]
            act(side, world, &random)
            check(world, seed)
        }
        // Everybody finishes and reads; then nothing is left.
        for side in sides { finish(side, world) }
        for _ in 0..<200 {
            world.settle()
            for side in sides { world.consumeAll(side.end) }
            world.advance(.milliseconds(100))
            check(world, seed)
        }
        for (index, side) in sides.enumerated() { verify(side, against: sides[1 - index], seed) }
        #expect(
            world.machine.failure == nil && world.server.failure == nil,
            "seed \(seed): \(String(describing: world.machine.failure)), \(String(describing: world.server.failure))")
        #expect(world.machine.engine.streamCount == 0 && world.server.engine.streamCount == 0, "seed \(seed)")
        #expect(world.machine.budget.grantedBytes == 0 && world.server.budget.grantedBytes == 0, "seed \(seed)")
        #expect(world.machine.engine.openResets.isEmpty && world.server.engine.openResets.isEmpty, "seed \(seed)")
    }

    private func act(_ side: Side, _ world: LinkWorld, _ random: inout Seeded) {
        switch Int.random(in: 0..<12, using: &random) {
        case 0:
            if let stream = try? side.end.engine.open(
                LinkOpen(tunnel: "t", peer: "", host: "", trace: ""), now: world.now)
            {
                side.senders[stream.id] = Sender(stream: stream)
            }
        case 1:
            for stream in side.end.opened where side.senders[stream.id] == nil && !stream.isClosed {
                if Int.random(in: 0..<8, using: &random) == 0 {
                    side.end.engine.reject(stream, .busy)
                } else {
                    side.end.engine.accept(stream)
                    side.senders[stream.id] = Sender(stream: stream)
                }
            }
        case 2, 3, 4: write(side, &random)
        case 5:
            guard let id = side.senders.keys.sorted().randomElement(using: &random) else { return }
            side.end.engine.finish(side.senders[id]!.stream)
            side.senders[id]!.isFinished = true
        case 6:
            guard Int.random(in: 0..<3, using: &random) == 0,
                let id = side.senders.keys.sorted().randomElement(using: &random)
            else { return }
            side.end.engine.reset(side.senders[id]!.stream, .cancelled)
        case 7: consume(side, world, &random)
        case 8: world.advance(.milliseconds(Int64.random(in: 0...40, using: &random)))
        case 9: world.send(from: side.end, atMost: Int.random(in: 1...200_000, using: &random))
        default: world.deliver(to: side.end, atMost: Int.random(in: 1...100_000, using: &random))
        }
    }

    private func write(_ side: Side, _ random: inout Seeded) {
        guard let id = side.senders.keys.sorted().randomElement(using: &random), var sender = side.senders[id],
            sender.stream.isWritable, !sender.isFinished
        else { return }
        let count = [1, 100, 5000, 70_000][Int.random(in: 0..<4, using: &random)]
        side.end.engine.write(sender.stream, .pattern(from: sender.written, count: count))
        sender.written += count
        side.senders[id] = sender
    }

    private func consume(_ side: Side, _ world: LinkWorld, _ random: inout Seeded) {
        for id in side.end.unconsumed.keys.sorted() {
            guard let count = side.end.unconsumed[id], let stream = side.end.engine.streams[id], count > 0 else {
                continue
            }
            let part = Int.random(in: 1...count, using: &random)
            side.end.engine.consume(stream, part, now: world.now)
            side.end.unconsumed[id] = count - part
        }
    }

    private func finish(_ side: Side, _ world: LinkWorld) {
        world.settle()
        for stream in side.end.opened where side.senders[stream.id] == nil && !stream.isClosed {
            side.end.engine.accept(stream)
            side.senders[stream.id] = Sender(stream: stream)
        }
        for id in side.senders.keys { side.end.engine.finish(side.senders[id]!.stream) }
    }

    /// What must hold at any moment.
    private func check(_ world: LinkWorld, _ seed: Int) {
        for end in [world.machine, world.server] {
            let held = end.engine.streams.values.reduce(0) { $0 + $1.unconsumedBytes }
            #expect(held <= end.budget.grantedBytes && end.budget.grantedBytes <= end.budget.limit, "seed \(seed)")
            for stream in end.engine.streams.values {
                #expect(stream.sent <= stream.sendLimit && stream.received <= stream.granted, "seed \(seed)")
                #expect(stream.queuedBytes <= LinkLimits.highWater + 70_000, "seed \(seed)")
            }
        }
    }

    /// What one side got is the beginning of what the other wrote, and all of it where neither gave the stream up.
    private func verify(_ side: Side, against other: Side, _ seed: Int) {
        for (id, bytes) in side.end.received {
            let written = other.senders[id]?.written ?? 0
            #expect(bytes.count <= written, "seed \(seed), stream \(id)")
            #expect(
                bytes == Array(ByteBuffer.pattern(from: 0, count: bytes.count).readableBytesView),
                "seed \(seed), stream \(id)")
            guard side.end.finished.contains(id) else { continue }
            #expect(bytes.count == written, "seed \(seed), stream \(id) ended early")
        }
        for (id, sender) in other.senders where sender.written > 0 {
            let wasGivenUp = side.end.resets[id] != nil || other.end.resets[id] != nil || sender.stream.isClosed
            #expect(
                side.end.finished.contains(id) || wasGivenUp, "seed \(seed), stream \(id) has neither end nor reason")
        }
    }
}

/// Random and mutated bytes: the engine answers with events or ends the link, whatever comes and however it is cut.
@Suite struct LinkFuzzTests {
    private let runs = getenv("FUZZ_RUNS").flatMap { Int(String(cString: $0)) } ?? 2000

    @Test func anEngineEndsTheLinkOrGoesOnWhateverComes() throws {
        let sample = try Self.sample()
        for seed in 0..<runs {
            var random = Seeded(seed)
            var bytes = sample
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            let world = LinkWorld()
            _ = try world.stream(world.server)
            world.settle()
            let cut = Int.random(in: 0...bytes.count, using: &random)
            for part in [bytes[..<cut], bytes[cut...]] {
                world.machine.engine.receive(ByteBuffer(bytes: part), now: world.now)
                world.machine.take(now: world.now)
            }
            world.consumeAll(world.machine)
            _ = world.machine.engine.output(atMost: 1 << 20)
            world.machine.engine.close()
            #expect(world.machine.budget.grantedBytes == 0, "seed \(seed)")
        }
    }

    /// What a server sends in a short life of a link.
    private static func sample() throws -> [UInt8] {
        let world = LinkWorld()
        let stream = try world.stream(world.server)
        // The first was opened before: this one's frames are for a stream that the other side knows.
        let second = try world.stream(world.server)
        world.server.engine.write(second, .pattern(from: 0, count: 300))
        _ = world.server.engine.call(ByteBuffer(string: #"{"call":"x"}"#))
        world.server.engine.finish(second)
        world.server.engine.reset(stream, .cancelled)
        world.server.engine.goAway(LinkGoAway(code: .stopping, message: "bye", retryAfter: 3))
        return world.server.engine.output(atMost: 1 << 20).flatMap { Array($0.readableBytesView) }
    }
}
