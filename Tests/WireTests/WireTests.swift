import Model
import NIOCore
import Testing
import TestSupport
import Wire

@Suite struct FrameHeaderTests {
    @Test func layoutIsTheDocumentedOne() throws {
        var buffer = ByteBuffer()
        let header = FrameHeader(kind: .snapshot, slot: 0x0102, epoch: 0x0304_0506, sequence: 0x0708_090A_0B0C_0D0E)
        header.write(into: &buffer)
        #expect(Array(buffer.readableBytesView) == [1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
        #expect(try FrameHeader(peeking: buffer) == header)
        FrameHeader.setSlot(9, of: &buffer)
        #expect(try FrameHeader(peeking: buffer).slot == 9)
    }

    @Test func everyShortOrForeignFrameIsRefused() {
        for length in 0..<16 {
            #expect(throws: MessageError.self) { try FrameHeader(peeking: ByteBuffer(repeating: 1, count: length)) }
        }
        for (version, kind) in [(0, 1), (2, 1), (1, 0), (1, 6), (1, 255)] as [(UInt8, UInt8)] {
            let bytes = [version, kind] + Array(repeating: 0, count: 14)
            #expect(throws: MessageError.self) { try FrameHeader(peeking: ByteBuffer(bytes: bytes)) }
        }
    }
}

@Suite struct CodeNameTests {
    @Test func anySpellingGivesTheOneName() {
        for text in ["SYCLX-7K2Q9M", "syclx-7k2q9m", "SYCLX7K2Q9M", "Syclx7k2q9m"] {
            #expect(ShareCodeId(text)?.description == "SYCLX-7K2Q9M")
        }
        for text in ["", "SYCLX-", "SYCLX-7K2Q9", "SYCLX-7K2Q9MM", "SYCLY-7K2Q9M", "SYCLX-7K2Q9é", "SYCLX--7K2Q9", "ß"]
        {
            #expect(ShareCodeId(text) == nil, "\(text)")
        }
        #expect(ShareCodeId(ShareCodeId.random().description) != nil)
    }
}

@Suite struct ClientMessageTests {
    private func parse(_ text: String) throws -> ClientMessage {
        try ClientMessage.parse(ByteBuffer(string: text)).message
    }

    @Test func requestsAreReadWithTheirIds() throws {
        let (message, id) = try ClientMessage.parse(
            ByteBuffer(string: #"{"type":"kick","id":"a","peerId":"p","unknown":[1]}"#))
        #expect(message == .kick(peerId: "p", reason: nil) && id == .text("a"))
        #expect(try ClientMessage.parse(ByteBuffer(string: #"{"type":"endSession","id":7}"#)).id == .number(7))
        #expect(
            try parse(#"{"type":"resume","resumeToken":"t","binary":true}"#)
                == .resume(token: "t", lastSequence: nil, binary: true))
        #expect(
            try parse(#"{"type":"relay","encryptedData":"d","nonce":"n","targetPeerId":"p","targetUserId":"u"}"#)
                == .relay(encryptedData: "d", nonce: "n", target: .peer("p")))
    }

    @Test(arguments: [
        (#"{"type":"kick"}"#, "peerId is missing"), (#"{"type":"kick","peerId":""}"#, "peerId is missing"),
        (#"{"type":"kick","peerId":5}"#, "peerId has the wrong type"), (#"{"id":1}"#, "type is missing"),
        (#"{"type":"x"}"#, "type is not known to this protocol"), ("[]", "the message is not a JSON object"),
        ("{", "not valid JSON"), ("", "not valid JSON"),
        (#"{"type":"keyExchange"}"#, "publicKey or payload is missing"),
    ]) func mistakesNameTheField(text: String, message: String) {
        #expect(throws: MessageError(message)) { try parse(text) }
    }

    @Test func timesAreISO8601InUTC() {
        #expect(ISOTime.text(milliseconds: 0) == "1970-01-01T00:00:00.000Z")
        #expect(ISOTime.text(milliseconds: 1_800_000_000_123) == "2027-01-15T08:00:00.123Z")
    }
}

@Suite struct FuzzTests {
    @Test func randomAndMutatedMessagesNeverCrash() {
        let samples = [
            #"{"type":"joinAsGuest","id":1,"token":"t","code":"SYCLX-7K2Q9M","guestPublicKey":"k","binary":true}"#,
            #"{"type":"relay","encryptedData":"AAAA","nonce":"n","targetPeerId":"p"}"#,
            #"{"type":"resume","resumeToken":"a.b","lastSequence":18446744073709551615}"#,
        ]
        mutated(samples) { bytes in
            let buffer = ByteBuffer(bytes: bytes)
            _ = try? ClientMessage.parse(buffer)
            if let header = try? FrameHeader(peeking: buffer) {
                var again = ByteBuffer()
                header.write(into: &again)
                #expect(again == buffer.getSlice(at: 0, length: FrameHeader.size))
            }
        }
    }
}
