public import NIOCore

/// One whole message or control frame. The payload is still masked if the peer masked it. ``append(to:)`` unmasks it
/// while copying.
public struct WebSocketMessage: Sendable {
    public enum Kind: Sendable { case text, binary, ping, pong, close }

    public let kind: Kind
    private let bytes: ByteBuffer
    private let mask: WebSocketMask?

    init(_ kind: Kind, _ bytes: ByteBuffer, mask: WebSocketMask?) {
        self.kind = kind
        self.bytes = bytes
        self.mask = mask
    }

    /// Length of the payload, in bytes.
    public var count: Int { bytes.readableBytes }

    /// Appends the payload, unmasked.
    public func append(to buffer: inout ByteBuffer) {
        if let mask { mask.append(bytes, to: &buffer) } else { buffer.writeImmutableBuffer(bytes) }
    }

    /// Appends a text or binary message as a server frames it: final, unmasked. One pass over the bytes.
    /// - Returns: length of the framing, in bytes.
    public func appendFramed(to buffer: inout ByteBuffer) -> Int {
        guard kind == .binary, count < 65536, let mask else {
            let framing = buffer.writeWebSocketHeader(kind == .text ? .text : .binary, payloadBytes: count)
            append(to: &buffer)
            return framing
        }
        let (count, framing) = (self.count, self.count < 126 ? 2 : 4)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: framing + count) { target in
            target[0] = 0x80 | WebSocketOpcode.binary.rawValue
            if framing == 2 {
                target[1] = UInt8(truncatingIfNeeded: count)
            } else {
                target[1] = 126
                target[2] = UInt8(truncatingIfNeeded: count >> 8)
                target[3] = UInt8(truncatingIfNeeded: count)
            }
            bytes.withUnsafeReadableBytes { source in
                // The target holds `framing` bytes more than `count`. If the source is empty, there is nothing to copy.
                if let from = source.baseAddress, let to = target.baseAddress { mask.copy(from, to + framing, count) }
            }
            return framing + count
        }
        return framing
    }

    /// The payload, unmasked; a copy if it was masked.
    public var payload: ByteBuffer {
        guard mask != nil else { return bytes }
        var payload = ByteBufferAllocator().buffer(capacity: count)
        append(to: &payload)
        return payload
    }
}
