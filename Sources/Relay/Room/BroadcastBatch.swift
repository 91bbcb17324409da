import NIOCore

/// The broadcast frames of one read batch, framed one behind the other in one buffer.
struct BroadcastBatch {
    private var buffer = ByteBuffer()
    private var parts: [(sequence: UInt64, offset: Int, framing: Int)] = []

    var isEmpty: Bool { parts.isEmpty }

    mutating func append(_ frame: ByteBuffer, sequence: UInt64) {
        let offset = buffer.writerIndex
        let framing = FramedMessage.appendBinary(frame, to: &buffer)
        parts.append((sequence, offset, framing))
    }

    /// The whole buffer, and each message as a slice of it. The batch is empty afterwards.
    mutating func take() -> (bytes: ByteBuffer, messages: [(sequence: UInt64, framed: FramedMessage)]) {
        let bytes = buffer
        let ends = parts.dropFirst().map(\.offset) + [bytes.writerIndex]
        let messages = zip(parts, ends).compactMap { part, end -> (UInt64, FramedMessage)? in
            guard let slice = bytes.getSlice(at: part.offset, length: end - part.offset) else { return nil }
            return (part.sequence, FramedMessage(bytes: slice, framing: part.framing, isText: false))
        }
        // A new buffer, not a cleared one: the receivers and the ring hold on to this one.
        buffer = ByteBuffer()
        parts.removeAll(keepingCapacity: true)
        return (bytes, messages)
    }
}
