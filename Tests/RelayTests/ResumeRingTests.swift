import NIOCore
import Testing
import WebSocket
import Wire

@testable import Relay

@Suite struct ResumeRingTests {
    /// A batch of frames as a room makes it: what a client sends goes in, what every guest gets comes out.
    private func batch(_ sequences: ClosedRange<UInt64>, bytes: Int = 100) throws -> BroadcastBatch {
        var batch = BroadcastBatch()
        for sequence in sequences {
            #expect(try stage(sequence, bytes, in: &batch).sequence == sequence)
            batch.keep(sequence)
        }
        return batch.take()
    }

    private func stage(_ sequence: UInt64, _ bytes: Int, in batch: inout BroadcastBatch) throws -> FrameHeader {
        var frame = ByteBuffer()
        FrameHeader(kind: .broadcast, slot: 0, epoch: 1, sequence: sequence).write(into: &frame)
        frame.writeRepeatingByte(UInt8(truncatingIfNeeded: sequence), count: bytes)
        var wire = ByteBuffer()
        wire.writeMaskedWebSocketMessage(.binary, frame)
        var reader = WebSocketReader(role: .server, maxMessageBytes: 1 << 20, maxFragments: 1)
        reader.receive(wire)
        let message = try #require(try reader.next())
        let index = batch.stage(message)
        return try FrameHeader(peeking: batch.bytes, at: index)
    }

    private func sequences(_ entries: [ResumeRing.Entry]?) throws -> [UInt64]? {
        try entries?.flatMap { entry -> [UInt64] in
            switch entry {
            case .text(_, let sequence): [sequence]
            case .frames(let batch): try batch.messages.map { try FrameHeader(peeking: $0.payload).sequence }
            }
        }
    }

    @Test func whatIsInTheRingIsGivenBackAndWhatIsNotIsSaid() throws {
        var ring = ResumeRing(capacity: 8192)
        ring.append(.frames(try batch(1...3)))
        ring.append(.text(ServerMessage(.relayData), sequence: 4))
        ring.append(.frames(try batch(5...5)))
        #expect(try sequences(ring.after(5, newest: 5)) == [])
        #expect(try sequences(ring.after(1, newest: 5)) == [2, 3, 4, 5])
        #expect(try sequences(ring.after(3, newest: 5)) == [4, 5])
        #expect(try sequences(ring.after(0, newest: 5)) == [1, 2, 3, 4, 5])
        #expect(ring.after(6, newest: 5) == nil)
        for sequence in 6...60 { ring.append(.frames(try batch(UInt64(sequence)...UInt64(sequence)))) }
        #expect(ring.bytes < 8192 + 2048)
        #expect(ring.after(5, newest: 60) == nil)
        #expect(try sequences(ring.after(58, newest: 60)) == [59, 60])
    }

    @Test func aPartOfABatchGoesOutAsOnePiece() throws {
        var ring = ResumeRing(capacity: 8192)
        ring.append(.frames(try batch(1...9, bytes: 200)))
        guard case .frames(let rest)? = ring.after(7, newest: 9)?.first else { return #expect(Bool(false)) }
        // Two messages, each with four bytes of framing and its header.
        #expect(rest.bytes.readableBytes == 2 * (4 + FrameHeader.size + 200) && rest.firstSequence == 8)
    }

    @Test func onlyTheNewestIsKeptWhenItIsLargerThanTheRing() throws {
        var ring = ResumeRing(capacity: 10)
        ring.append(.frames(try batch(1...1)))
        ring.append(.frames(try batch(2...2)))
        #expect(try sequences(ring.after(1, newest: 2)) == [2])
        #expect(ring.after(0, newest: 2) == nil)
    }

    /// A guest's megabyte, refused, must not be kept with the host's next keystroke.
    @Test func aBatchIsKeptInStorageOfItsOwnLength() throws {
        var batch = BroadcastBatch()
        for round in 0..<3 {
            _ = try stage(77, 1 << 19, in: &batch)
            _ = batch.takeStaged()
            _ = try stage(UInt64(round + 1), 5, in: &batch)
            batch.keep(UInt64(round + 1))
            if round == 1 {
                _ = try stage(78, 1 << 19, in: &batch)
                _ = batch.takeStaged()
            }
            let kept = batch.take()
            #expect(kept.bytes.storageCapacity <= 64 && kept.messages.count == 1)
        }
    }

    @Test func whatIsStagedAndTakenLeavesNothingBehind() throws {
        var batch = BroadcastBatch()
        _ = try stage(1, 50, in: &batch)
        batch.keep(1)
        _ = try stage(77, 300, in: &batch)
        #expect(batch.takeStaged().readableBytes == FrameHeader.size + 300)
        _ = try stage(2, 50, in: &batch)
        batch.keep(2)
        #expect(try batch.take().messages.map { try FrameHeader(peeking: $0.payload).sequence } == [1, 2])
    }
}
