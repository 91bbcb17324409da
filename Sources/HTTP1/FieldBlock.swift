public import NIOCore

/// The fields of a head or of trailers, as positions in the received bytes. Nothing is copied until a message is
/// written again.
public struct FieldBlock: Sendable {
    public struct Field: Sendable {
        public let name: FieldName
        let nameBytes, valueBytes: Range<Int32>
    }

    /// The whole head. The places count from its first readable byte.
    public let bytes: ByteBuffer
    public internal(set) var fields: [Field] = []

    init(_ bytes: ByteBuffer) { self.bytes = bytes }

    public func value(_ field: Field) -> String { text(field.valueBytes) }

    public func nameText(_ field: Field) -> String { text(field.nameBytes) }

    func text(_ range: Range<Int32>) -> String {
        bytes.getString(at: bytes.readerIndex + Int(range.lowerBound), length: range.count) ?? ""
    }

    /// A value as it was received.
    public func bytes(of field: Field) -> ByteBuffer {
        bytes.getSlice(
            at: bytes.readerIndex + Int(field.valueBytes.lowerBound), length: field.valueBytes.count) ?? ByteBuffer()
    }

    /// The first value of a field.
    public subscript(name: FieldName) -> String? { fields.first { $0.name == name }.map(value) }

    /// All values of a field, in order.
    public func values(_ name: FieldName) -> [String] { fields.filter { $0.name == name }.map(value) }

    public func has(_ name: FieldName) -> Bool { fields.contains { $0.name == name } }

    /// The members of a field that is a list of words (RFC 9110, section 5.6.1), in lower case.
    public func words(_ name: FieldName) -> [String] {
        guard has(name) else { return [] }
        return values(name).flatMap { value in
            value.split(separator: ",").map { $0.trimmingSpaces().lowercased() }.filter { !$0.isEmpty }
        }
    }

    /// Writes one field as a line.
    public func write(_ field: Field, into buffer: inout ByteBuffer) {
        bytes.withUnsafeReadableBytes { source in
            buffer.writeBytes(source[Int(field.nameBytes.lowerBound)..<Int(field.nameBytes.upperBound)])
            buffer.writeStaticString(": ")
            buffer.writeBytes(source[Int(field.valueBytes.lowerBound)..<Int(field.valueBytes.upperBound)])
            buffer.writeStaticString("\r\n")
        }
    }

    /// Whether a field's name is this one, ignoring case.
    public func isNamed(_ field: Field, _ word: String) -> Bool { nameText(field).lowercased() == word }
}

extension StringProtocol {
    public func trimmingSpaces() -> SubSequence {
        var rest = self[...]
        while let first = rest.first, first == " " || first == "\t" { rest = rest.dropFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest = rest.dropLast() }
        return rest
    }
}

/// Reads fields, line by line, by the strict grammar of RFC 9112, section 5: no folded lines, no space before the colon, no bare CR or LF.
struct FieldParser {
    /// - Parameters:
    ///   - source: a whole head or trailer section, with the empty line at its end.
    ///   - start: of the first field line.
    /// - Throws: ``HTTPMessageError``.
    static func parse(
        _ source: UnsafeRawBufferPointer, from start: Int, limit: Int, into fields: inout [FieldBlock.Field]
    ) throws(HTTPMessageError) {
        var index = start
        fields.reserveCapacity(16)
        while true {
            guard index + 1 < source.count else { throw HTTPMessageError(.malformed, "the head is incomplete") }
            if source[index] == Byte.cr {
                guard source[index + 1] == Byte.lf, index + 2 == source.count else {
                    throw HTTPMessageError(.malformed, "a line begins with CR")
                }
                return
            }
            guard fields.count < limit else {
                throw HTTPMessageError(.headTooLarge, "there are more than \(limit) header fields")
            }
            let nameStart = index
            while source[index] != Byte.colon {
                guard Byte.isToken(source[index]) else {
                    throw HTTPMessageError(.malformed, "a header field's name contains an invalid character")
                }
                index += 1
            }
            guard index > nameStart else { throw HTTPMessageError(.malformed, "a header field has no name") }
            let name = nameStart..<index
            index += 1
            while source[index] == Byte.space || source[index] == Byte.tab { index += 1 }
            let valueStart = index
            while source[index] != Byte.cr {
                guard Byte.isValue(source[index]) else {
                    throw HTTPMessageError(.malformed, "a header field's value contains an invalid character")
                }
                index += 1
            }
            // The section ends with CR LF CR LF, so there is a byte after every CR.
            guard source[index + 1] == Byte.lf else { throw HTTPMessageError(.malformed, "a line contains a CR") }
            var valueEnd = index
            while valueEnd > valueStart, source[valueEnd - 1] == Byte.space || source[valueEnd - 1] == Byte.tab {
                valueEnd -= 1
            }
            index += 2
            fields.append(
                FieldBlock.Field(
                    name: FieldName.of(UnsafeRawBufferPointer(rebasing: source[name])),
                    nameBytes: Int32(name.lowerBound)..<Int32(name.upperBound),
                    valueBytes: Int32(valueStart)..<Int32(valueEnd)))
        }
    }
}

enum Byte {
    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")
    static let colon = UInt8(ascii: ":")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")

    /// RFC 9110, section 5.6.2.
    private static let tokens: [Bool] = {
        var table = [Bool](repeating: false, count: 256)
        for byte in UInt8(ascii: "0")...UInt8(ascii: "9") { table[Int(byte)] = true }
        for byte in UInt8(ascii: "a")...UInt8(ascii: "z") { table[Int(byte)] = true }
        for byte in UInt8(ascii: "A")...UInt8(ascii: "Z") { table[Int(byte)] = true }
        for byte in "!#$%&'*+-.^_`|~".utf8 { table[Int(byte)] = true }
        return table
    }()

    static func isToken(_ byte: UInt8) -> Bool { tokens[Int(byte)] }

    /// RFC 9110, section 5.5: visible characters, spaces, tabs and non-ASCII bytes.
    static func isValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == tab }
}
