import NIOCore

/// Bytes that were read from a connection and not yet passed to the HTTP decoder, in order.
///
/// The decoder turns all of its input into requests at once: 64 KiB of pipelined requests are more than 2,000 requests
/// and need twenty times their size in memory. With small slices, at most one slice of requests is decoded and waiting.
struct PacedInput {
    /// The size of a slice, in bytes: about forty of the shortest requests, or one complete typical request.
    static let sliceBytes = 1 << 10

    private var held = CircularBuffer<ByteBuffer>(initialCapacity: 0)

    var isEmpty: Bool { held.isEmpty }

    mutating func receive(_ bytes: ByteBuffer) {
        if bytes.readableBytes > 0 { held.append(bytes) }
    }

    /// The next slice. Nil if no bytes are held.
    mutating func next(atMost bytes: Int = sliceBytes) -> ByteBuffer? {
        guard var first = held.popFirst() else { return nil }
        guard first.readableBytes > bytes, let slice = first.readSlice(length: bytes) else { return first }
        held.prepend(first)
        return slice
    }

    mutating func removeAll() { held.removeAll() }
}
