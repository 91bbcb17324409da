import NIOCore

/// The last broadcast frames of a room, by sequence, as they went out. Ciphertext only.
struct ResumeRing {
    struct Entry {
        let sequence: UInt64
        /// The WebSocket message as it was sent, its framing included.
        let message: FramedMessage
    }

    private let capacity: Int
    private var entries = CircularBuffer<Entry>()
    private(set) var bytes = 0

    /// - Parameter capacity: in bytes. The newest frame is always kept.
    init(capacity: Int) { self.capacity = capacity }

    mutating func append(_ message: FramedMessage, sequence: UInt64) {
        entries.append(Entry(sequence: sequence, message: message))
        bytes += message.bytes.readableBytes
        while bytes > capacity, entries.count > 1, let oldest = entries.popFirst() {
            bytes -= oldest.message.bytes.readableBytes
        }
    }

    mutating func removeAll() {
        entries.removeAll()
        bytes = 0
    }

    /// Everything after `last`, or nil if some of that is no longer (or not yet) here.
    /// - Parameter newest: the sequence of the room's newest frame; 0 when there was none.
    func after(_ last: UInt64, newest: UInt64) -> [FramedMessage]? {
        if last == newest { return [] }
        guard last < newest, let first = entries.first, first.sequence <= last + 1 else { return nil }
        return entries.dropFirst(Int(last + 1 - first.sequence)).map(\.message)
    }
}
