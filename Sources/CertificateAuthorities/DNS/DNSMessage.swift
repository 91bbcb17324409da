import NIOCore

/// A query to a name server (RFC 1035, section 4), parsed as far as a server for one name needs.
struct DNSQuestion: Equatable {
    let id: UInt16
    /// The flags that the response repeats: opcode and "recursion desired".
    let flags: UInt16
    /// In lower case, without a trailing dot.
    let name: String
    let type: UInt16
    let `class`: UInt16
    /// The question as received. The response repeats it: resolvers mix upper and lower case to detect forged
    /// responses.
    let bytes: ByteBuffer

    static let address: UInt16 = 1
    static let nameServer: UInt16 = 2
    static let startOfAuthority: UInt16 = 6
    static let text: UInt16 = 16
    static let any: UInt16 = 255

    /// - Returns: nil if the message is not a single question. It is not answered.
    init?(_ message: ByteBuffer) {
        var rest = message
        guard
            let (id, flags, questions, _, _, _) = rest.readMultipleIntegers(
                as: (UInt16, UInt16, UInt16, UInt16, UInt16, UInt16).self),
            // A standard query, not a response.
            flags & 0x8000 == 0, flags & 0x7800 == 0, questions == 1
        else { return nil }
        let start = rest
        var labels: [String] = []
        var length = 0
        while true {
            guard let count = rest.readInteger(as: UInt8.self) else { return nil }
            if count == 0 { break }
            // Questions are not compressed. A name has at most 255 bytes.
            guard count < 64, let label = rest.readString(length: Int(count)) else { return nil }
            length += Int(count) + 1
            guard length < 255 else { return nil }
            labels.append(label.lowercased())
        }
        guard let (type, kind) = rest.readMultipleIntegers(as: (UInt16, UInt16).self) else { return nil }
        self.id = id
        self.flags = flags & 0x0100
        name = labels.joined(separator: ".")
        self.type = type
        self.class = kind
        bytes = start.getSlice(at: start.readerIndex, length: start.readableBytes - rest.readableBytes) ?? ByteBuffer()
    }
}

/// An authoritative zone that has only TXT records at its apex, such as a delegated `_acme-challenge`.
struct DNSZone {
    /// In lower case.
    let name: String
    /// The server's own name, for NS and SOA.
    let server: String
    var texts: [String] = []
    /// The texts of names below, by name. Domains of organisations lead there by CNAME.
    var below: [String: [String]] = [:]

    /// The time to live of a response, in seconds: a proof is looked up once.
    private static let lifetime: UInt32 = 1
    /// A pointer to the name of the question.
    private static let nameOfQuestion: UInt16 = 0xC00C

    func answer(_ question: DNSQuestion) -> ByteBuffer {
        guard question.class == 1, question.name == name || question.name.hasSuffix(".\(name)") else {
            return message(question, code: 5, answers: [], authority: [])
        }
        guard question.name == name else {
            guard let found = below[question.name] else {
                return message(question, code: 3, answers: [], authority: [authority])
            }
            let wantsTexts = question.type == DNSQuestion.text || question.type == DNSQuestion.any
            let records =
                wantsTexts ? found.map { record(DNSQuestion.text, Self.characters($0), of: question.name) } : []
            return message(question, code: 0, answers: records, authority: records.isEmpty ? [authority] : [])
        }
        var answers: [ByteBuffer] = []
        let wantsAll = question.type == DNSQuestion.any
        if question.type == DNSQuestion.text || wantsAll {
            answers += texts.map { record(DNSQuestion.text, Self.characters($0)) }
        }
        if question.type == DNSQuestion.nameServer || wantsAll {
            answers.append(record(DNSQuestion.nameServer, Self.domain(server)))
        }
        if question.type == DNSQuestion.startOfAuthority || wantsAll { answers.append(authority) }
        return message(question, code: 0, answers: answers, authority: answers.isEmpty ? [authority] : [])
    }

    private func message(
        _ question: DNSQuestion, code: UInt16, answers: [ByteBuffer], authority: [ByteBuffer]
    ) -> ByteBuffer {
        var out = ByteBuffer()
        // QR, AA, and the question's RD. REFUSED is not an authoritative answer.
        let flags = 0x8000 | (code == 5 ? 0 : 0x0400) | question.flags | code
        out.writeMultipleIntegers(
            question.id, flags, UInt16(1), UInt16(answers.count), UInt16(authority.count), UInt16(0))
        out.writeImmutableBuffer(question.bytes)
        for record in answers + authority { out.writeImmutableBuffer(record) }
        return out
    }

    /// - Parameter owner: nil for the zone itself.
    private func record(_ type: UInt16, _ data: ByteBuffer, of owner: String? = nil) -> ByteBuffer {
        var out = ByteBuffer()
        // For a name below the zone, the response must name the zone itself: the whole name is written.
        out.writeImmutableBuffer(Self.domain(owner ?? name))
        out.writeMultipleIntegers(type, UInt16(1), Self.lifetime, UInt16(data.readableBytes))
        out.writeImmutableBuffer(data)
        return out
    }

    /// RFC 1035, section 3.3.13. The times limit how long a missing name is cached.
    private var authority: ByteBuffer {
        var data = Self.domain(server)
        data.writeImmutableBuffer(Self.domain("hostmaster.\(server)"))
        data.writeMultipleIntegers(UInt32(1), UInt32(60), UInt32(60), UInt32(3600), Self.lifetime)
        return record(DNSQuestion.startOfAuthority, data)
    }

    private static func domain(_ name: String) -> ByteBuffer {
        var out = ByteBuffer()
        for label in name.split(separator: ".") {
            let bytes = Array(label.utf8.prefix(63))
            out.writeInteger(UInt8(bytes.count))
            out.writeBytes(bytes)
        }
        out.writeInteger(UInt8(0))
        return out
    }

    /// One character string. Ours have 43 characters.
    private static func characters(_ text: String) -> ByteBuffer {
        let bytes = Array(text.utf8.prefix(255))
        var out = ByteBuffer()
        out.writeInteger(UInt8(bytes.count))
        out.writeBytes(bytes)
        return out
    }
}
