import NIOCore

/// A question to a resolver, and what is read of its answer (RFC 1035, section 4).
struct DNSQuery {
    enum Kind: UInt16, Sendable {
        case address = 1
        case alias = 5
        case text = 16
        case address6 = 28
        /// RFC 8659.
        case authorization = 257
    }

    let id: UInt16
    let name: String
    let kind: Kind

    /// Labels of one name, at most: 255 bytes have no more.
    private static let labels = 128

    /// As it is sent by UDP.
    var message: ByteBuffer {
        var out = ByteBuffer()
        // A standard query, recursion desired.
        out.writeMultipleIntegers(id, UInt16(0x0100), UInt16(1), UInt16(0), UInt16(0), UInt16(0))
        for label in name.split(separator: ".") {
            let bytes = Array(label.utf8.prefix(63))
            out.writeInteger(UInt8(bytes.count))
            out.writeBytes(bytes)
        }
        out.writeInteger(UInt8(0))
        out.writeMultipleIntegers(kind.rawValue, UInt16(1))
        return out
    }

    enum Answer: Equatable {
        /// The records of the asked kind, and the least time that one may be kept, in seconds.
        case records([[UInt8]], lifetime: UInt32)
        /// No such name, or none of this kind.
        case nothing
        /// It did not fit a datagram.
        case truncated
        /// The resolver's own trouble: SERVFAIL, REFUSED.
        case failed(code: UInt16)
    }

    /// - Returns: nil for what is no answer to this question.
    func answer(_ message: ByteBuffer) -> Answer? {
        var rest = message
        guard
            let (id, flags, questions, answers, _, _) = rest.readMultipleIntegers(
                as: (UInt16, UInt16, UInt16, UInt16, UInt16, UInt16).self),
            id == self.id, flags & 0x8000 != 0, questions == 1, isRepeated(&rest)
        else { return nil }
        if flags & 0x0200 != 0 { return .truncated }
        switch flags & 0x000F {
        case 0: break
        case 3: return .nothing
        default: return .failed(code: flags & 0x000F)
        }
        var records: [[UInt8]] = []
        var lifetime = UInt32.max
        for _ in 0..<answers {
            guard Self.skipName(&rest),
                let (type, _, life, length) = rest.readMultipleIntegers(as: (UInt16, UInt16, UInt32, UInt16).self),
                let data = rest.readBytes(length: Int(length))
            else { return nil }
            if type == kind.rawValue {
                records.append(data)
                lifetime = min(lifetime, life)
            }
        }
        return records.isEmpty ? .nothing : .records(records, lifetime: lifetime)
    }

    /// Reads the question of an answer. Whoever guesses the id must also know the question.
    private func isRepeated(_ rest: inout ByteBuffer) -> Bool {
        var asked = message
        asked.moveReaderIndex(forwardBy: 12)
        guard let question = rest.readBytes(length: asked.readableBytes) else { return false }
        // Resolvers may change the case of names. Lengths of labels and the type are not letters' codes.
        return zip(question, asked.readableBytesView).allSatisfy { Self.lowercased($0) == Self.lowercased($1) }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// Past a name, which may end in a pointer.
    private static func skipName(_ rest: inout ByteBuffer) -> Bool {
        for _ in 0..<labels {
            guard let count = rest.readInteger(as: UInt8.self) else { return false }
            if count == 0 { return true }
            if count & 0xC0 == 0xC0 { return rest.readInteger(as: UInt8.self) != nil }
            guard count < 64, rest.readSlice(length: Int(count)) != nil else { return false }
        }
        return false
    }

    // MARK: Records

    /// A TXT record's character strings as one text.
    static func text(_ data: [UInt8]) -> String {
        var (text, rest) = ([UInt8](), data[...])
        while let count = rest.popFirst() {
            text += rest.prefix(Int(count))
            rest = rest.dropFirst(Int(count))
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// A CAA record's tag and value; nil for one that is cut.
    static func authorization(_ data: [UInt8]) -> (tag: String, value: String)? {
        guard data.count >= 2, data.count >= 2 + Int(data[1]) else { return nil }
        let tag = data[2..<(2 + Int(data[1]))]
        return (
            String(decoding: tag, as: UTF8.self).lowercased(),
            String(decoding: data[(2 + Int(data[1]))...], as: UTF8.self)
        )
    }

    /// An address as people write it.
    static func address(_ data: [UInt8]) -> String? {
        try? SocketAddress(packedIPAddress: ByteBuffer(bytes: data), port: 0).ipAddress
    }
}
