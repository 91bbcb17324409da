import NIOCore
import WebSocket
import Wire

/// Broadcast frames, framed one after the other in one buffer: what every guest is sent, and what the ring stores.
///
/// A message is staged first and unmasked in the process, and then kept or removed. Its header is read at its final
/// position.
struct BroadcastBatch {
    /// Initial capacity of the first batch, in bytes. Later ones start with what the last one needed, up to the second
    /// limit.
    private static let initialCapacity = 1024
    private static let maxCapacity = 64 << 10

    private(set) var bytes = ByteBuffer()
    /// Where each message begins in the buffer.
    private var offsets: [Int] = []
    /// The sequence of the first message. The others follow without a gap.
    private(set) var firstSequence: UInt64 = 0
    private var nextCapacity = initialCapacity
    private var staged: (offset: Int, frame: Int)?

    var isEmpty: Bool { offsets.isEmpty }
    var count: Int { offsets.count }
    /// The sequence of the last message; one below the first if there is none.
    var lastSequence: UInt64 { firstSequence + UInt64(offsets.count) - 1 }

    /// Appends a message provisionally.
    /// - Returns: where its frame begins in ``bytes``.
    mutating func stage(_ message: WebSocketMessage) -> Int {
        if bytes.writerIndex == 0 { bytes.reserveCapacity(max(nextCapacity, message.count + 10)) }
        let offset = bytes.writerIndex
        let framing = message.appendFramed(to: &bytes)
        staged = (offset, offset + framing)
        return offset + framing
    }

    /// Appends the messages at the start of a read, as long as each is the next broadcast.
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

    /// Appends a broadcast that is not in a reader.
    mutating func append(_ frame: ByteBuffer, _ sequence: UInt64) {
        staged = (bytes.writerIndex, 0)
        bytes.writeWebSocketHeader(.binary, payloadBytes: frame.readableBytes)
        bytes.writeImmutableBuffer(frame)
        keep(sequence)
    }

    /// Keeps the staged message: it is a broadcast with this number.
    mutating func keep(_ sequence: UInt64) {
        guard let staged else { return }
        if offsets.isEmpty { firstSequence = sequence }
        offsets.append(staged.offset)
        self.staged = nil
    }

    /// Removes the staged message, which is not a broadcast, from the batch.
    mutating func takeStaged() -> ByteBuffer {
        guard let staged else { return ByteBuffer() }
        self.staged = nil
        // A copy: a slice would share the storage, and the next write would copy all of it.
        let frame = ByteBuffer(bytes.viewBytes(at: staged.frame, length: bytes.writerIndex - staged.frame) ?? .init())
        bytes.moveWriterIndex(to: staged.offset)
        // The staged message may have been long. The next ones may not need that much storage.
        if offsets.isEmpty { bytes = ByteBuffer() }
        return frame
    }

    /// Returns the current batch and leaves this one empty.
    mutating func take() -> BroadcastBatch {
        var taken = self
        // The batch may be kept for long, so it must not keep the storage of a longer message that was staged in it.
        if bytes.storageCapacity > 2 * bytes.readableBytes {
            taken.bytes = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
            taken.bytes.writeImmutableBuffer(bytes)
        }
        // A new buffer instead of a cleared one: the receivers and the ring hold references to this one.
        bytes = ByteBuffer()
        offsets = []
        nextCapacity = min(max(taken.bytes.readableBytes, Self.initialCapacity), Self.maxCapacity)
        return taken
    }

    /// What the batch costs in a ring, in bytes: its frames and the bookkeeping, which is most of a keystroke's batch.
    /// Its storage may be up to twice as large.
    var cost: Int { bytes.readableBytes + 160 + offsets.count * MemoryLayout<Int>.size }

    /// The messages after a sequence, in the same storage; nil if there are none.
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

    /// The individual messages.
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
