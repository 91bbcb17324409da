import NIOCore
import Testing

@testable import WebSocket

@Suite struct ReaderTests {
    private func reader(_ max: Int = 1 << 20) -> WebSocketReader {
        WebSocketReader(role: .server, maxMessageBytes: max, maxFragments: 4)
    }

    /// One frame as a client sends it.
    private func frame(
        _ first: UInt8, _ payload: [UInt8], mask: [UInt8]? = [1, 2, 3, 250], length: [UInt8]? = nil
    ) -> [UInt8] {
        var bytes = [first]
        let bit: UInt8 = mask == nil ? 0 : 0x80
        if let length {
            bytes += [bit | length[0]] + length.dropFirst()
        } else if payload.count < 126 {
            bytes.append(bit | UInt8(payload.count))
        } else if payload.count < 65536 {
            bytes += [bit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        } else {
            bytes += [bit | 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
        }
        guard let mask else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    /// Everything that comes out, however the bytes are cut.
    private func read(_ bytes: [UInt8], cuts: [Int], max: Int = 1 << 20) throws(WebSocketError) -> [[UInt8]] {
        var reader = reader(max)
        var messages: [[UInt8]] = []
        for (start, end) in zip([0] + cuts, cuts + [bytes.count]) {
            reader.receive(ByteBuffer(bytes: bytes[start..<end]))
            while let message = try reader.next() { messages.append(Array(message.payload.readableBytesView)) }
        }
        return messages
    }

    @Test func everyLengthArrivesWhereverItIsCut() throws {
        let sizes = [0, 1, 3, 4, 63, 64, 65, 125, 126, 127, 1000, 65535, 65536, 70_000]
        let payloads = sizes.map { size in (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) } }
        let bytes = payloads.flatMap { frame(0x82, $0) }
        #expect(try read(bytes, cuts: []) == payloads)
        #expect(try read(bytes, cuts: Array(1..<700)) == payloads)
        for step in [2, 5, 13, 4096, 65536] {
            #expect(try read(bytes, cuts: Array(stride(from: step, to: bytes.count, by: step))) == payloads)
        }
    }

    @Test func fragmentsBecomeOneMessageAndControlFramesPassBetweenThem() throws {
        let bytes =
            frame(0x01, Array("hé".utf8).dropLast()) + frame(0x89, [9]) + frame(0x80, Array("é".utf8.dropFirst()))
        #expect(try read(bytes, cuts: []) == [[9], Array("hé".utf8)])
        #expect(try read(bytes, cuts: Array(1..<bytes.count)) == [[9], Array("hé".utf8)])
    }

    @Test(
        arguments: [
            ([0x92, 0x80, 0, 0, 0, 0], 1002), ([0x83, 0x80, 0, 0, 0, 0], 1002), ([0x8B, 0x80, 0, 0, 0, 0], 1002),
            ([0x82, 0x00], 1002), ([0x80, 0x80, 0, 0, 0, 0], 1002), ([0x09, 0x80, 0, 0, 0, 0], 1002),
            ([0x89, 0xFE, 0, 126], 1002), ([0x82, 0xFE, 0, 5], 1002), ([0x82, 0xFF, 0, 0, 0, 0, 0, 0, 1, 0], 1002),
            ([0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002), ([0x82, 0xFF, 0, 0, 0, 0, 0, 16, 0, 1], 1009),
            ([0x88, 0x81, 0, 0, 0, 0, 3], 1002), ([0x88, 0x82, 0, 0, 0, 0, 3, 237], 1002),
            ([0x88, 0x83, 0, 0, 0, 0, 3, 232, 0xFF], 1007), ([0x81, 0x82, 0, 0, 0, 0, 0xC3, 0x28], 1007),
            ([0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0], 1002),
        ] as [([UInt8], UInt16)])
    func whatTheStandardForbidsEndsWithItsCode(bytes: [UInt8], code: UInt16) {
        #expect { try read(bytes, cuts: []) } throws: { ($0 as? WebSocketError)?.closeCode == code }
        #expect { try read(bytes, cuts: Array(1..<bytes.count)) } throws: { ($0 as? WebSocketError)?.closeCode == code }
    }

    @Test func messagesAndFragmentsHaveBounds() {
        #expect { try read(frame(0x02, [1, 2, 3]) + frame(0x80, [4, 5]), cuts: [], max: 4) } throws: {
            ($0 as? WebSocketError)?.closeCode == 1009
        }
        let many = frame(0x02, []) + (0..<4).flatMap { _ in frame(0x00, []) }
        #expect { try read(many, cuts: []) } throws: { ($0 as? WebSocketError)?.closeCode == 1009 }
    }

    @Test func whatIsWrittenForAServerIsReadByOne() throws {
        var bytes = ByteBuffer()
        let sizes = [0, 5, 125, 126, 65535, 65536]
        for size in sizes { bytes.writeMaskedWebSocketMessage(.binary, ByteBuffer(repeating: 0xA5, count: size)) }
        let read = try read(Array(bytes.readableBytesView), cuts: [])
        #expect(read.map(\.count) == sizes)
        #expect(read.joined().allSatisfy { $0 == 0xA5 })
    }

    /// What comes out where many messages are taken at once, each framed as servers do, and `next()` has the rest.
    private func taken(
        _ bytes: [UInt8], cuts: [Int], max: Int = 1 << 20, refusing: Int = .max, atOnce: Bool = true
    ) -> (framed: [[UInt8]], code: UInt16?) {
        var reader = reader(max)
        var (framed, count) = ([[UInt8]](), 0)
        for (start, end) in zip([0] + cuts, cuts + [bytes.count]) {
            reader.receive(ByteBuffer(bytes: bytes[start..<end]))
            do {
                while true {
                    var (target, starts) = (ByteBuffer(string: "before"), [Int]())
                    let take = { (start: Int, payload: UnsafeRawBufferPointer) in
                        count += 1
                        guard count % refusing != 0 else { return false }
                        #expect(payload.count <= max)
                        starts.append(start)
                        return true
                    }
                    if atOnce { reader.takeBinary(to: &target, minimumCapacity: 0, take) }
                    for (start, end) in zip(starts, starts.dropFirst() + [target.writerIndex]) {
                        framed.append(target.getBytes(at: start, length: end - start) ?? [])
                    }
                    guard let message = try reader.next() else { break }
                    var one = ByteBuffer()
                    _ = message.appendFramed(to: &one)
                    framed.append(Array(one.readableBytesView))
                }
            } catch {
                return (framed, error.closeCode)
            }
        }
        return (framed, nil)
    }

    @Test func manyTakenAtOnceAreAsOneByOneWhereverTheyAreCutAndWhateverIsRefused() {
        let sizes = [0, 1, 2, 3, 4, 16, 63, 64, 65, 125, 126, 127, 1000, 65535, 65536, 0]
        let messages = sizes.flatMap { size -> [(UInt8, [UInt8])] in
            let long = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
            return [(0x82, long), (0x81, Array("a".utf8)), (0x82, [UInt8(truncatingIfNeeded: size)])]
        }
        let bytes = messages.flatMap { frame($0, $1) }
        let expected = messages.map { frame($0, $1, mask: nil) }
        for cuts in [[], Array(1..<900), Array(stride(from: 13, to: bytes.count, by: 13))] {
            for refusing in [1, 2, 7, Int.max] {
                let found = taken(bytes, cuts: cuts, refusing: refusing)
                #expect(found.framed == expected && found.code == nil)
            }
        }
    }

    @Test func mutatedBytesTakenAtOnceAreAsOneByOne() {
        var dice = SystemRandomNumberGenerator()
        let sample =
            frame(0x82, Array(0..<20)) + frame(0x82, Array(repeating: 5, count: 200)) + frame(0x02, [65])
            + frame(0x82, [1]) + frame(0x89, [1]) + frame(0x80, [67]) + frame(0x82, Array(repeating: 6, count: 130))
        for _ in 0..<20_000 {
            var bytes = sample
            for _ in 0..<Int.random(in: 0...4, using: &dice) {
                bytes[Int.random(in: 0..<bytes.count, using: &dice)] = .random(in: 0...255, using: &dice)
            }
            let cut = Int.random(in: 0...bytes.count, using: &dice)
            let found = taken(bytes, cuts: [cut], max: 300, refusing: .random(in: 1...5, using: &dice))
            #expect(found == taken(bytes, cuts: [], max: 300, atOnce: false))
        }
    }

    @Test func aReasonIsCutBetweenTwoCharacters() throws {
        let bytes = WebSocketClose.frame(code: 1000, reason: String(repeating: "é", count: 100))
        var reader = WebSocketReader(role: .client, maxMessageBytes: 1000, maxFragments: 1)
        reader.receive(bytes)
        let message = try #require(try reader.next())
        #expect(WebSocketClose(message.payload).reason == String(repeating: "é", count: 61))
    }

    @Test func randomAndMutatedBytesNeverCrashAndNeverExceedTheBound() {
        var dice = SystemRandomNumberGenerator()
        let sample =
            frame(0x01, [65, 66]) + frame(0x89, [1]) + frame(0x80, [67]) + frame(0x82, Array(repeating: 5, count: 200))
        for _ in 0..<20_000 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...6, using: &dice) {
                bytes[Int.random(in: 0..<bytes.count, using: &dice)] = .random(in: 0...255, using: &dice)
            }
            let cut = Int.random(in: 0...bytes.count, using: &dice)
            let whole = Result { () throws(WebSocketError) in try read(bytes, cuts: [], max: 300) }
            let parts = Result { () throws(WebSocketError) in try read(bytes, cuts: [cut], max: 300) }
            #expect((try? whole.get()) == (try? parts.get()))
            if case .success(let messages) = whole { #expect(messages.allSatisfy { $0.count <= 300 }) }
        }
    }
}
