public import NIOCore

/// One whole message or control frame. Its payload is still masked where the peer masked it: ``append(to:)`` unmasks it on
/// the way to where it is needed.
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

    /// The payload, unmasked: a copy where it was masked.
    public var payload: ByteBuffer {
        guard mask != nil else { return bytes }
        var payload = ByteBufferAllocator().buffer(capacity: count)
        append(to: &payload)
        return payload
    }
}
