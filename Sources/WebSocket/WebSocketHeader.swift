public import NIOCore

/// The kind of a frame (RFC 6455, section 5.2).
public enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    var isControl: Bool { rawValue & 0x8 != 0 }
}

/// A frame's header (RFC 6455, section 5.2): two to fourteen bytes before the payload.
struct WebSocketHeader {
    /// Maximum size of a header: two bytes, an eight-byte length and a mask.
    static let longest = 14
    /// The longest payload of a control frame (section 5.5), in bytes.
    static let controlBytes = 125

    let isFinal: Bool
    let opcode: WebSocketOpcode
    let mask: WebSocketMask?
    /// Size of the header, in bytes.
    let size: Int
    /// Size of the payload, in bytes.
    let payloadBytes: Int

    /// Reads the header at the reader index, without moving it.
    /// - Returns: nil if more bytes are needed.
    /// - Throws: ``WebSocketError`` if no valid header can start like this.
    init?(peeking buffer: ByteBuffer, maxPayloadBytes: Int) throws(WebSocketError) {
        let start = HeaderBytes(buffer)
        guard start.count >= 2 else { return nil }
        let (first, second) = (start[0], start[1])
        guard first & 0x70 == 0 else { throw .violation("a reserved bit is set, and no extension was agreed on") }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
            throw .violation("an opcode that RFC 6455 does not know")
        }
        isFinal = first & 0x80 != 0
        self.opcode = opcode
        var size = 2
        switch second & 0x7F {
        case 126:
            guard start.count >= 4 else { return nil }
            let length = start.integer(at: 2, bytes: 2)
            guard length > 125 else { throw .violation("a length is written as short as it can be") }
            payloadBytes = Int(length)
            size += 2
        case 127:
            guard start.count >= 10 else { return nil }
            let length = start.integer(at: 2, bytes: 8)
            guard length > UInt16.max, length >> 63 == 0 else {
                throw .violation("a length is written as short as it can be, in 63 bits")
            }
            payloadBytes = Int(length)
            size += 8
        case let length: payloadBytes = Int(length)
        }
        if opcode.isControl {
            guard isFinal else { throw .violation("a control frame is never fragmented") }
            guard payloadBytes <= Self.controlBytes else { throw .violation("a control frame holds at most 125 bytes") }
        }
        guard payloadBytes <= maxPayloadBytes else { throw .tooLong(maxPayloadBytes) }
        if second & 0x80 != 0 {
            guard start.count >= size + 4 else { return nil }
            // In memory order: the mask is four bytes that are used one after the other.
            mask = WebSocketMask(UInt32(truncatingIfNeeded: start.integer(at: size, bytes: 4)).bigEndian)
            size += 4
        } else {
            mask = nil
        }
        self.size = size
    }
}

/// The header of the common case: a final, masked binary frame of at most 65,535 bytes that is completely in the buffer. The initialiser
/// returns nil for every other frame, which ``WebSocketHeader`` reads.
struct PlainFrame {
    let mask: WebSocketMask
    /// Size of the header, in bytes.
    let size: Int
    let payloadBytes: Int

    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer, at start: Int, maxPayloadBytes: Int) {
        // One load covers the two bytes, a length of two more bytes and the mask.
        guard bytes.count - start >= 8 else { return nil }
        let word = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        guard word >> 56 == 0x82, word >> 55 & 1 == 1 else { return nil }
        switch word >> 48 & 0x7F {
        case 127: return nil
        case 126:
            (size, payloadBytes) = (8, Int(word >> 32 & 0xFFFF))
            guard payloadBytes > 125 else { return nil }
        case let length: (size, payloadBytes) = (6, Int(length))
        }
        guard payloadBytes <= maxPayloadBytes, bytes.count - start - size >= payloadBytes else { return nil }
        mask = WebSocketMask(bytes.loadUnaligned(fromByteOffset: start + size - 4, as: UInt32.self))
    }
}

/// The first sixteen readable bytes, in two registers. This is more than any header has, and they are read at once
/// because this runs for every frame.
private struct HeaderBytes {
    private var high: UInt64 = 0
    private var low: UInt64 = 0
    /// How many bytes there are, at most sixteen.
    let count: Int

    init(_ buffer: ByteBuffer) {
        count = min(16, buffer.readableBytes)
        (high, low) = buffer.withUnsafeReadableBytes { bytes in
            if bytes.count >= 16 {
                return (
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                )
            }
            var words: (high: UInt64, low: UInt64) = (0, 0)
            for (index, byte) in bytes.enumerated() {
                if index < 8 { words.high |= UInt64(byte) << (56 - 8 * index) }
                if index >= 8 { words.low |= UInt64(byte) << (120 - 8 * index) }
            }
            return words
        }
    }

    subscript(index: Int) -> UInt8 { UInt8(truncatingIfNeeded: integer(at: index, bytes: 1)) }

    /// An integer in network byte order.
    /// - Parameter bytes: one to eight.
    func integer(at index: Int, bytes: Int) -> UInt64 {
        // In Swift, shifts by 64 or more give 0.
        let shifted =
            index < 8 ? (high << UInt64(8 * index)) | (low >> UInt64(64 - 8 * index)) : low << UInt64(8 * index - 64)
        return shifted >> UInt64(64 - 8 * bytes)
    }
}

extension ByteBuffer {
    /// Appends the header of a whole message as servers send it: final and not masked.
    /// - Returns: its length, in bytes.
    @discardableResult
    public mutating func writeWebSocketHeader(_ opcode: WebSocketOpcode, payloadBytes: Int) -> Int {
        writeWebSocketHeader(opcode, payloadBytes: payloadBytes, maskBit: 0)
    }

    private mutating func writeWebSocketHeader(_ opcode: WebSocketOpcode, payloadBytes: Int, maskBit: UInt8) -> Int {
        let first = 0x80 | opcode.rawValue
        switch payloadBytes {
        case ..<126: return writeMultipleIntegers(first, maskBit | UInt8(payloadBytes))
        case ..<65536: return writeMultipleIntegers(first, maskBit | 126, UInt16(payloadBytes))
        default: return writeMultipleIntegers(first, maskBit | 127, UInt64(payloadBytes))
        }
    }

    /// Length of the header, in bytes, of a server's message that begins at the reader index.
    public var webSocketHeaderBytes: Int {
        switch getInteger(at: readerIndex + 1, as: UInt8.self) ?? 0 {
        case 126: 4
        case 127: 10
        default: 2
        }
    }

    /// Appends a whole message as clients send it: masked with a new random key (RFC 6455, section 5.3).
    public mutating func writeMaskedWebSocketMessage(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        let mask = WebSocketMask(.random(in: .min ... .max))
        reserveCapacity(minimumWritableBytes: payload.readableBytes + WebSocketHeader.longest)
        _ = writeWebSocketHeader(opcode, payloadBytes: payload.readableBytes, maskBit: 0x80)
        writeInteger(mask.key, endianness: .host)
        mask.append(payload, to: &self)
    }
}
