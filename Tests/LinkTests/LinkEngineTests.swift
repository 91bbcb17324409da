import NIOCore
import Testing
import Wire

@testable import Link

@Suite struct LinkEngineTests {
    @Test func aStreamCarriesBytesBothWaysAndIsForgottenWhenBothHaveEnded() throws {
        let world = LinkWorld()
        let stream = try world.stream(world.server)
        world.server.engine.write(stream, .pattern(from: 0, count: 1000))
        world.settle()
        let theirs = try #require(world.machine.opened.first)
        #expect(theirs.id == 2 && theirs.open.tunnel == "t")
        world.machine.engine.accept(theirs)
        world.machine.engine.write(theirs, .pattern(from: 5, count: 10))
        world.machine.engine.finish(theirs)
        world.server.engine.finish(stream)
        world.settle()
        #expect(world.server.accepted == [2])
        #expect(world.machine.received[2] == Array(ByteBuffer.pattern(from: 0, count: 1000).readableBytesView))
        #expect(world.server.finished == [2] && world.machine.finished == [2])
        // Received, and not yet consumed: both still know the stream.
        #expect(world.server.engine.streamCount == 1)
        world.consumeAll(world.server)
        world.consumeAll(world.machine)
        world.settle()
        #expect(world.server.engine.streamCount == 0 && world.machine.engine.streamCount == 0)
        #expect(world.server.budget.grantedBytes == 0 && world.machine.budget.grantedBytes == 0)
    }

    @Test func aReaderThatStandsStillStopsItsOwnStreamAndNoOther() throws {
        let world = LinkWorld()
        let slow = try world.stream(world.server), fast = try world.stream(world.server)
        world.settle()
        for stream in world.machine.opened { world.machine.engine.accept(stream) }
        world.settle()
        for offset in 0..<20 { world.server.engine.write(slow, .pattern(from: offset << 16, count: 1 << 16)) }
        #expect(!slow.isWritable)
        world.settle()
        #expect(world.machine.received[slow.id]?.count == LinkLimits.initialCredit)
        for offset in 0..<20 {
            world.server.engine.write(fast, .pattern(from: offset << 14, count: 1 << 14))
            world.settle()
            if let count = world.machine.unconsumed[fast.id], let stream = world.machine.engine.streams[fast.id] {
                world.machine.engine.consume(stream, count, now: world.now)
                world.machine.unconsumed[fast.id] = 0
            }
            world.settle()
        }
        #expect(world.machine.received[fast.id]?.count == 20 << 14)
        #expect(world.machine.received[slow.id]?.count == LinkLimits.initialCredit)
        world.consumeAll(world.machine)
        world.settle()
        #expect((world.machine.received[slow.id]?.count ?? 0) > LinkLimits.initialCredit)
    }

    @Test func aWriterIsToldToStopAndWhenToGoOn() throws {
        let world = LinkWorld()
        let stream = try world.stream(world.server)
        world.settle()
        #expect(world.server.engine.write(stream, .pattern(from: 0, count: 64 << 10)))
        #expect(!world.server.engine.write(stream, .pattern(from: 0, count: 64 << 10)))
        world.settle()
        #expect(!world.server.writable.contains(stream.id))
        world.consumeAll(world.machine)
        world.settle()
        #expect(world.server.writable.contains(stream.id) && stream.isWritable)
    }

    @Test func aResetEndsBothWaysAtOnceAndIsAnswered() throws {
        let world = LinkWorld()
        let stream = try world.stream(world.server)
        world.server.engine.write(stream, .pattern(from: 0, count: 100))
        world.settle()
        world.server.engine.reset(stream, .cancelled)
        #expect(world.server.engine.openResets == [2])
        world.settle()
        #expect(world.machine.resets == [2: .cancelled])
        #expect(world.server.engine.openResets.isEmpty)
        // Both at once: neither waits for an answer that does not come.
        let again = try world.stream(world.server)
        world.settle()
        let theirs = try #require(world.machine.opened.last)
        world.server.engine.reset(again, .cancelled)
        world.machine.engine.reset(theirs, .broken)
        world.settle()
        #expect(world.server.engine.openResets.isEmpty && world.machine.engine.openResets.isEmpty)
        #expect(world.machine.budget.grantedBytes == 0 && world.server.budget.grantedBytes == 0)
    }

    @Test func aStreamThatIsRejectedDropsWhatWasOnItsWay() throws {
        let world = LinkWorld()
        let stream = try world.stream(world.server)
        world.settle()
        let theirs = try #require(world.machine.opened.first)
        world.server.engine.write(stream, .pattern(from: 0, count: 1000))
        world.send(from: world.server)
        world.machine.engine.reject(theirs, LinkRejection(code: "refused", message: "no"))
        world.settle()
        #expect(world.server.rejected[2]?.code == "refused")
        #expect(world.machine.received[2] == nil && world.machine.failure == nil && world.server.failure == nil)
        // A reset of a stream that the other side has forgotten is answered all the same.
        #expect(world.server.budget.grantedBytes == 0)
    }

    @Test func whereMemoryIsShortNewStreamsAreRefusedAndNoneIsCut() throws {
        let world = LinkWorld(machineBudget: 3 * LinkLimits.initialCredit)
        let streams = try (0..<4).map { _ in try world.stream(world.server) }
        world.settle()
        #expect(world.machine.opened.count == 3)
        #expect(world.server.rejected[streams[3].id] == .busy)
        #expect(world.machine.failure == nil)
    }

    @Test func whereMemoryIsShortStreamsThatStandStillGiveTheirsUpFirst() throws {
        let world = LinkWorld(machineBudget: 3 * LinkLimits.initialCredit)
        let streams = try (0..<3).map { _ in try world.stream(world.server) }
        world.server.engine.write(streams[1], .pattern(from: 0, count: 1000))
        world.settle()
        for stream in world.machine.opened { world.machine.engine.accept(stream) }
        world.settle()
        // Nobody takes what the second has sent.
        for _ in 0..<4 {
            world.advance(.seconds(10))
            world.settle()
        }
        let more = try world.stream(world.server)
        world.settle()
        #expect(world.machine.resets[streams[1].id] == .stalled)
        #expect(world.server.rejected[more.id] == nil)
        #expect(world.machine.opened.count == 4)
    }

    @Test func aWindowGrowsWhereTheStreamUsesItUpAtOnceAndNotWhereMemoryIsShort() throws {
        func window(budget: Int) throws -> Int {
            let world = LinkWorld(machineBudget: budget)
            let stream = try world.stream(world.server)
            world.settle()
            let theirs = try #require(world.machine.opened.first)
            world.machine.engine.accept(theirs)
            for offset in 0..<600 {
                world.server.engine.write(stream, .pattern(from: offset << 16, count: 1 << 16))
                world.settle()
                world.consumeAll(world.machine)
                world.settle()
            }
            return theirs.window
        }
        #expect(try window(budget: 64 << 20) == LinkLimits.windowBytes)
        #expect(try window(budget: 1 << 20) <= 1 << 20)
    }

    @Test func silenceIsPingedAndThenTheLinkIsDead() throws {
        let world = LinkWorld()
        world.advance(.seconds(9))
        world.settle()
        world.advance(.seconds(2))
        world.settle()
        #expect(world.machine.failure == nil && world.server.failure == nil)
        // From here on nothing arrives.
        let stream = try world.stream(world.server)
        world.advance(.seconds(11))
        world.send(from: world.server)
        world.machine.inbox = ByteBuffer()
        world.advance(.seconds(15))
        #expect(world.server.failure?.code == .silent)
        #expect(world.server.resets[stream.id] == .gone)
    }

    @Test func callsAreAnsweredAndBounded() {
        let world = LinkWorld()
        let numbers = (0..<17).map { _ in world.machine.engine.call(ByteBuffer(string: "{}")) }
        #expect(numbers.compactMap { $0 }.count == LinkLimits.openCalls && numbers.last == .some(nil))
        world.settle()
        #expect(world.server.calls.count == 16)
        for number in world.server.calls { world.server.engine.answer(number, ByteBuffer(string: "{}")) }
        world.settle()
        #expect(world.machine.answers.count == 16)
        #expect(world.machine.engine.call(ByteBuffer(string: "{}")) != nil)
    }

    @Test func aYoungStreamGoesAheadOfBulkAndTakesAtMostEveryOtherTurn() throws {
        let world = LinkWorld()
        let bulk = try world.stream(world.server)
        world.settle()
        bulk.sent = 1 << 20
        bulk.sendLimit = 1 << 30
        for _ in 0..<16 { world.server.engine.write(bulk, .pattern(from: 0, count: 1 << 16)) }
        let young = try (0..<6).map { _ in try world.stream(world.server) }
        for stream in young { world.server.engine.write(stream, .pattern(from: 0, count: 100)) }
        var order: [UInt32] = []
        var reader = LinkFrameReader()
        for buffer in world.server.engine.output(atMost: 1 << 20) {
            reader.receive(buffer)
            while let part = try reader.next() { if case .dataHeader(let id, _) = part { order.append(id) } }
        }
        #expect(order.first == young[0].id)
        let firstBulk = try #require(order.firstIndex(of: bulk.id))
        #expect(firstBulk == 1)
        #expect(try #require(order.lastIndex(of: young[5].id)) == 10)
    }
}

/// What the other side may not do. Each ends the link with its reason.
@Suite struct LinkViolationTests {
    private func violation(_ frames: (inout ByteBuffer) -> Void) throws -> LinkError? {
        let world = LinkWorld()
        _ = try world.stream(world.server)
        world.settle()
        var bytes = ByteBuffer()
        frames(&bytes)
        world.machine.engine.receive(bytes, now: world.now)
        world.machine.take(now: world.now)
        return world.machine.failure
    }

    private func header(_ type: LinkFrameType, _ stream: UInt32, _ length: Int, _ bytes: inout ByteBuffer) {
        LinkFrameHeader(type, stream: stream, length: length).write(into: &bytes)
    }

    @Test func lengthsStatesAndCreditsAreCheckedBeforeBytesAreKept() throws {
        #expect(try violation { header(.data, 2, LinkLimits.dataBytes + 1, &$0) }?.code == .protocolError)
        #expect(try violation { header(.open, 4, LinkLimits.openBytes + 1, &$0) }?.code == .protocolError)
        #expect(try violation { header(.data, 6, 10, &$0) }?.code == .protocolError)
        #expect(try violation { header(.data, 0, 10, &$0) }?.code == .protocolError)
        #expect(try violation { header(.ping, 2, 8, &$0) }?.code == .protocolError)
        // More than was granted: 64 KiB, and one byte.
        #expect(
            try violation {
                self.header(.data, 2, 1 << 16, &$0)
                $0.writeRepeatingByte(0, count: 1 << 16)
                self.header(.data, 2, 1, &$0)
            }?.code == .flowControl)
        #expect(
            try violation {
                self.header(.fin, 2, 8, &$0)
                $0.writeInteger(UInt64(7))
            }?.code == .protocolError)
        #expect(
            try violation {
                self.header(.fin, 2, 8, &$0)
                $0.writeInteger(UInt64(0))
                self.header(.data, 2, 1, &$0)
            }?.code == .protocolError)
        #expect(
            try violation {
                self.header(.credit, 2, 16, &$0)
                $0.writeMultipleIntegers(UInt64(1), UInt64(1 << 16))
            }?.code == .flowControl)
        #expect(
            try violation {
                self.header(.credit, 2, 16, &$0)
                $0.writeMultipleIntegers(UInt64(0), UInt64(1))
            }?.code == .flowControl)
        #expect(
            try violation {
                self.header(.credit, 2, 16, &$0)
                $0.writeMultipleIntegers(UInt64(0), UInt64.max)
            }?.code == .flowControl)
        #expect(try violation { self.header(.accept, 2, 0, &$0) }?.code == .protocolError)
        #expect(
            try violation {
                self.header(.answer, 0, 6, &$0)
                $0.writeInteger(UInt32(9))
                $0.writeString("{}")
            }?.code == .protocolError)
        #expect(try violation { $0.writeMultipleIntegers(UInt8(6), UInt8(0), UInt16(1), UInt32(2), UInt32(1)) } != nil)
    }

    @Test func aFrameOfANewerVersionIsSkippedWhereItSaysThatItMayBe() throws {
        let world = LinkWorld()
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(UInt8(99), UInt8(0x80), UInt16(0), UInt32(0), UInt32(5))
        bytes.writeString("hello")
        self.header(.ping, 0, 8, &bytes)
        bytes.writeInteger(UInt64(1))
        world.machine.engine.receive(bytes, now: world.now)
        world.machine.take(now: world.now)
        #expect(world.machine.failure == nil && world.machine.engine.hasOutput)
        #expect(try violation { $0.writeMultipleIntegers(UInt8(99), UInt8(0), UInt16(0), UInt32(0), UInt32(5)) } != nil)
    }

    @Test func floodsOfSmallFramesEndTheLink() throws {
        #expect(
            try violation {
                for _ in 0..<2000 { self.header(.data, 2, 0, &$0) }
            }?.code == .flood)
        #expect(
            try violation {
                for number in 0..<30 {
                    self.header(.ping, 0, 8, &$0)
                    $0.writeInteger(UInt64(number))
                }
            }?.code == .flood)
        #expect(
            try violation {
                for _ in 0..<2000 {
                    self.header(.credit, 2, 16, &$0)
                    $0.writeMultipleIntegers(UInt64(0), UInt64(1 << 16))
                }
            }?.code == .flood)
        let world = LinkWorld()
        var bytes = ByteBuffer()
        for index in 0..<1000 {
            bytes.writeFrame(
                .open, stream: UInt32(2 + index * 2),
                JSONText.encode(LinkOpen(tunnel: "t", peer: "p", host: "h", trace: "")))
        }
        let strict = LinkEngine(
            .init(side: .machine, maxStreams: 10, opensPerSecond: 10), budget: CreditBudget(limit: 1 << 24),
            now: world.now)
        strict.greet(LinkHello(software: "t", token: nil, instance: "i"))
        var welcome = ByteBuffer()
        welcome.writeFrame(.welcome, JSONText.encode(LinkWelcome(software: "s", link: "l", maxStreams: 0)))
        strict.receive(welcome, now: world.now)
        strict.receive(bytes, now: world.now)
        #expect(
            strict.takeEvents().contains { if case .failed(let error) = $0 { error.code == .flood } else { false } })
    }

    @Test func nothingIsHeardBeforeTheGreeting() {
        let engine = LinkEngine(
            .init(side: .server, maxStreams: 0, opensPerSecond: 10), budget: CreditBudget(limit: 1 << 20),
            now: .uptimeNanoseconds(1))
        var bytes = ByteBuffer()
        header(.ping, 0, 8, &bytes)
        bytes.writeInteger(UInt64(1))
        engine.receive(bytes, now: .uptimeNanoseconds(2))
        #expect(
            engine.takeEvents().contains {
                if case .failed(let error) = $0 { error.code == .protocolError } else { false }
            })
    }

    @Test func aChildTakesAQuarterOfItsParentWhileOthersNeedTheRest() {
        let process = CreditBudget(limit: 1000)
        let greedy = CreditBudget(limit: 1000, within: process), modest = CreditBudget(limit: 1000, within: process)
        #expect(greedy.reserve(500))
        // Half of the process is granted: beyond a quarter nobody grows.
        #expect(!greedy.reserve(1))
        #expect(modest.reserve(250))
        #expect(!modest.reserve(1))
        greedy.release(500)
        #expect(modest.reserve(200))
        #expect(process.grantedBytes == 450)
    }
}
