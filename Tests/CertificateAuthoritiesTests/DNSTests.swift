import NIOCore
import TestSupport
import Testing

@testable import CertificateAuthorities

@Suite struct DNSTests {
    private let zone = DNSZone(name: "_acme-challenge.t.example", server: "box.example", texts: ["proof-1", "proof-2"])

    private func question(_ name: String, _ type: UInt16, class kind: UInt16 = 1, flags: UInt16 = 0x0100) -> ByteBuffer
    {
        var message = ByteBuffer()
        message.writeMultipleIntegers(UInt16(77), flags, UInt16(1), UInt16(0), UInt16(0), UInt16(0))
        for label in name.split(separator: ".") {
            message.writeInteger(UInt8(label.utf8.count))
            message.writeString(String(label))
        }
        message.writeMultipleIntegers(UInt8(0), type, kind)
        return message
    }

    /// Code, number of answers, number of authorities, and the answer's text.
    private func ask(_ name: String, _ type: UInt16, class kind: UInt16 = 1) throws -> (UInt16, UInt16, UInt16, String)
    {
        let asked = try #require(DNSQuestion(question(name, type, class: kind)))
        let answer = zone.answer(asked)
        var rest = answer
        let parts = rest.readMultipleIntegers(as: (UInt16, UInt16, UInt16, UInt16, UInt16, UInt16).self)
        let head = try #require(parts)
        #expect(head.0 == 77 && head.1 & 0x8000 != 0 && head.2 == 1)
        return (head.1 & 0xF, head.3, head.4, String(decoding: answer.readableBytesView, as: UTF8.self))
    }

    @Test func itAnswersForItsOneNameAndRefusesTheRest() throws {
        let texts = try ask("_ACME-challenge.T.example", DNSQuestion.text)
        #expect(texts.0 == 0 && texts.1 == 2 && texts.3.contains("proof-1") && texts.3.contains("proof-2"))
        // As it was asked, letter by letter.
        #expect(texts.3.contains("_ACME-challenge"))
        #expect(try ask(zone.name, DNSQuestion.nameServer).1 == 1)
        #expect(try ask(zone.name, DNSQuestion.startOfAuthority).1 == 1)
        let none = try ask(zone.name, DNSQuestion.address)
        #expect(none.0 == 0 && none.1 == 0 && none.2 == 1)
        #expect(try ask("x.\(zone.name)", DNSQuestion.text).0 == 3)
        #expect(try ask("t.example", DNSQuestion.text).0 == 5)
        #expect(try ask("x\(zone.name)", DNSQuestion.text).0 == 5)
        #expect(try ask(zone.name, DNSQuestion.text, class: 3).0 == 5)
    }

    @Test func whatIsNoQuestionIsNotAnswered() {
        let good = question("a.example", DNSQuestion.text)
        #expect(DNSQuestion(good) != nil)
        for length in 0..<good.readableBytes { #expect(DNSQuestion(good.getSlice(at: 0, length: length)!) == nil) }
        // An answer, another opcode, two questions, a compressed name.
        #expect(DNSQuestion(question("a", 16, flags: 0x8000)) == nil)
        #expect(DNSQuestion(question("a", 16, flags: 0x2800)) == nil)
        var two = good
        two.setInteger(UInt16(2), at: 4)
        #expect(DNSQuestion(two) == nil)
        var compressed = good
        compressed.setInteger(UInt8(0xC0), at: 12)
        #expect(DNSQuestion(compressed) == nil)
        #expect(DNSQuestion(question(String(repeating: "abcdefgh.", count: 40), 16)) == nil)
    }

    @Test func mutatedQuestionsAreAnsweredOrNot() {
        let sample = String(
            decoding: question("_acme-challenge.t.example", 16, flags: 0).readableBytesView, as: UTF8.self)
        mutated([sample]) { bytes in
            if let asked = DNSQuestion(ByteBuffer(bytes: bytes)) { _ = zone.answer(asked) }
        }
    }
}
