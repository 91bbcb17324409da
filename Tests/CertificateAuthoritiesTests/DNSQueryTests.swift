import NIOCore
import TestSupport
import Testing

@testable import CertificateAuthorities

@Suite struct DNSQueryTests {
    private let query = DNSQuery(id: 77, name: "app.example.test", kind: .text)

    /// An answer to the query with these records; names are pointers to the question's.
    private func answer(
        _ records: [(type: UInt16, life: UInt32, data: [UInt8])], id: UInt16 = 77, flags: UInt16 = 0x8180
    ) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeMultipleIntegers(id, flags, UInt16(1), UInt16(records.count), UInt16(0), UInt16(0))
        out.writeImmutableBuffer(
            query.message.getSlice(at: 12, length: query.message.readableBytes - 12) ?? ByteBuffer())
        for record in records {
            out.writeMultipleIntegers(UInt16(0xC00C), record.type, UInt16(1), record.life, UInt16(record.data.count))
            out.writeBytes(record.data)
        }
        return out
    }

    @Test func aQuestionIsWhatAnAuthorityReads() throws {
        let asked = try #require(DNSQuestion(query.message))
        #expect(asked.name == "app.example.test" && asked.type == 16 && asked.id == 77 && asked.flags == 0x0100)
    }

    @Test func recordsOfTheAskedKindAreRead() {
        let found = query.answer(
            answer([
                (5, 9, [1, 97, 0]), (16, 30, [3] + Array("abc".utf8) + [2] + Array("de".utf8)), (16, 7, [1, 120]),
            ]))
        #expect(found == .records([[3, 97, 98, 99, 2, 100, 101], [1, 120]], lifetime: 7))
        #expect(
            DNSQuery.text([3, 97, 98, 99, 2, 100, 101]) == "abcde" && DNSQuery.text([9, 97]) == "a"
                && DNSQuery.text([]) == "")
        #expect(query.answer(answer([(5, 9, [0])])) == .nothing)
    }

    @Test func refusalsAndForgeriesAreToldApart() {
        #expect(query.answer(answer([], flags: 0x8183)) == .nothing)
        #expect(query.answer(answer([], flags: 0x8182)) == .failed(code: 2))
        #expect(query.answer(answer([], flags: 0x8380)) == .truncated)
        #expect(query.answer(answer([], id: 78)) == nil && query.answer(query.message) == nil)
        let whole = answer([(16, 1, [1, 120])])
        for cut in 0..<whole.readableBytes {
            #expect(query.answer(whole.getSlice(at: 0, length: cut) ?? ByteBuffer()) == nil, "cut at \(cut)")
        }
    }

    @Test func addressesAndAuthoritiesAreRead() {
        #expect(DNSQuery.address([192, 0, 2, 7]) == "192.0.2.7" && DNSQuery.address([1, 2, 3]) == nil)
        #expect(DNSQuery.address([UInt8](repeating: 0, count: 15) + [1]) == "::1")
        let record = [0, 5] + Array("issueletsencrypt.org; x=y".utf8)
        #expect(DNSQuery.authorization(record).map { $0.tag == "issue" && $0.value == "letsencrypt.org; x=y" } == true)
        #expect(DNSQuery.authorization([0, 9, 97]) == nil && DNSQuery.authorization([]) == nil)
    }
}
