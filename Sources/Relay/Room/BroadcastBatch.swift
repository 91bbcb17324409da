import NIOCore
import WebSocket
import Wire

/// Broadcast frames framed one behind the other in one buffer: what every guest is handed, and what the ring keeps.
///
/// A message is staged first, unmasked on the way, and then kept or taken out again: its header is read where it will stay.
struct BroadcastBatch {
    /// The first batch is given this much nextCapacity, in bytes; later ones what the last one needed, up to the second bound.
    private static let initialCapacity = 1024
    private static let maxCapacity = 64 << 10

    private(set) var bytes = ByteBuffer()
    /// Where each message begins in the buffer.
    private var offsets: [Int] = []
    /// Sequence of the first message; the others follow without a gap.
    private(set) var firstSequence: UInt64 = 0
    private var nextCapacity = initialCapacity
    private var staged: (offset: Int, frame: Int)?

    var isEmpty: Bool { offsets.isEmpty }
    var count: Int { offsets.count }
    /// Sequence of the last message; one below the first where there is none.
    var lastSequence: UInt64 { firstSequence + UInt64(offsets.count) - 1 }

    /// Appends a message for the time being.
    /// - Returns: where its frame begins in ``bytes``.
    mutating func stage(_ message: WebSocketMessage) -> Int {
        if bytes.writerIndex == 0 { bytes.reserveCapacity(max(nextCapacity, message.count + 10)) }
        let offset = bytes.writerIndex
        let framing = message.appendFramed(to: &bytes)
        staged = (offset, offset + framing)
        return offset + framing
    }

    /// Appends the messages that a read begins with, as long as each is the next broadcast.
    mutating func append(from reader: inout WebSocketReader, while isNext: (FrameHeader) -> Bool) {
        var (offsets, firstSequence) = ([Int](), firstSequence)
        swap(&offsets, &self.offsets)
        reader.takeBinary(to: &bytes, minimumCapacity: bytes.writerIndex == 0 ? nextCapacity : 0) { start, frame in
            guard let header = try? FrameHeader(peeking: frame), isNext(header) else { return false }
            if offsets.isEmpty { firstSequence = header.sequence }
            offsets.append(start)
            return true
        }
        swap(&offsets, &self.offsets)
        self.firstSequence = firstSequence
    }

    /// Appends a broadcast that is at hand.
    mutating func append(_ frame: ByteBuffer, _ sequence: UInt64) {
        staged = (bytes.writerIndex, 0)
        bytes.writeWebSocketHeader(.binary, payloadBytes: frame.readableBytes)
        bytes.writeImmutableBuffer(frame)
        keep(sequence)
    }

    /// What is staged is a broadcast with this number.
    mutating func keep(_ sequence: UInt64) {
        guard let staged else { return }
        if offsets.isEmpty { firstSequence = sequence }
        offsets.append(staged.offset)
        self.staged = nil
    }

    /// What is staged is something else: it leaves the batch.
    mutating func takeStaged() -> ByteBuffer {
        guard let staged else { return ByteBuffer() }
        self.staged = nil
        // A copy: a slice would share the storage, and the next write would copy all of it.
        let frame = ByteBuffer(bytes.viewBytes(at: staged.frame, length: bytes.writerIndex - staged.frame) ?? .init())
        bytes.moveWriterIndex(to: staged.offset)
        // What was staged may have been long, and what follows need not be.
        if offsets.isEmpty { bytes = ByteBuffer() }
        return frame
    }

    /// The batch as it is now; this one is empty afterwards.
    mutating func take() -> BroadcastBatch {
        var taken = self
        // Kept for long, perhaps: not in the storage of a longer message that was staged among these.
        if bytes.storageCapacity > 2 * bytes.readableBytes {
            taken.bytes = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
            taken.bytes.writeImmutableBuffer(bytes)
        }
        // A new buffer, not a cleared one: the receivers and the ring hold on to this one.
        bytes = ByteBuffer()
        offsets = []
        nextCapacity = min(max(taken.bytes.readableBytes, Self.initialCapacity), Self.maxCapacity)
        return taken
    }

    /// What it is charged for in a ring, in bytes: its frames, and the bookkeeping, which is most of a keystroke's batch. Its
    /// storage may be up to twice as long.
    var cost: Int { bytes.readableBytes + 160 + offsets.count * MemoryLayout<Int>.size }

    /// The messages after a sequence, in the same storage; nil when there are none.
    func after(_ last: UInt64) -> BroadcastBatch? {
        guard last >= firstSequence else { return self }
        guard last < lastSequence else { return nil }
        var rest = self
        let gone = Int(last + 1 - firstSequence)
        rest.offsets = Array(offsets.dropFirst(gone))
        rest.firstSequence = last + 1
        rest.bytes.moveReaderIndex(to: offsets[gone])
        return rest
    }

    /// Each message by itself.
    var messages: [FramedMessage] {
        zip(offsets, offsets.dropFirst() + [bytes.writerIndex]).compactMap { start, end in
            bytes.getSlice(at: start, length: end - start).map { FramedMessage(framed: $0, isText: false) }
        }
    }
}

extension ByteBuffer {
    fileprivate init(_ view: ByteBufferView) { self.init(bytes: view) }

    fileprivate func viewBytes(at index: Int, length: Int) -> ByteBufferView? {
        getSlice(at: index, length: length)?.readableBytesView
    }
}
