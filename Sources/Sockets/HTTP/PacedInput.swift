import NIOCore

/// Bytes that were read from a connection and not yet given to the HTTP decoder, in order.
///
/// The decoder turns everything that it gets into requests at once: 64 KiB of pipelined requests are more than 2,000 of them, and take
/// twenty times their size. Handed out in small slices, at most a slice's worth of requests waits decoded.
struct PacedInput {
    /// What the decoder gets at once, in bytes: holds about forty of the shortest requests, and a typical request whole.
    static let sliceBytes = 1 << 10

    private var held = CircularBuffer<ByteBuffer>(initialCapacity: 0)

    var isEmpty: Bool { held.isEmpty }

    mutating func receive(_ bytes: ByteBuffer) {
        if bytes.readableBytes > 0 { held.append(bytes) }
    }

    /// The next slice, or nil where nothing is held.
    mutating func next(atMost bytes: Int = sliceBytes) -> ByteBuffer? {
        guard var first = held.popFirst() else { return nil }
        guard first.readableBytes > bytes, let slice = first.readSlice(length: bytes) else { return first }
        held.prepend(first)
        return slice
    }

    mutating func removeAll() { held.removeAll() }
}
