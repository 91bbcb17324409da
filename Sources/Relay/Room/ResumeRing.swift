import NIOCore
import Wire

/// The last broadcasts of a room, by sequence. It contains only ciphertext.
struct ResumeRing {
    enum Entry {
        case frames(BroadcastBatch)
        /// A broadcast that came as JSON. It is converted for receivers of any dialect.
        indirect case text(ServerMessage, sequence: UInt64)

        var firstSequence: UInt64 {
            switch self {
            case .frames(let batch): batch.firstSequence
            case .text(_, let sequence): sequence
            }
        }

        fileprivate var cost: Int {
            switch self {
            case .frames(let batch): batch.cost
            case .text(let message, _): (message.encryptedData?.utf8.count ?? 0) + MemoryLayout<ServerMessage>.size
            }
        }

        /// The part of the entry after a sequence.
        fileprivate func after(_ last: UInt64) -> Entry? {
            switch self {
            case .frames(let batch): batch.after(last).map(Entry.frames)
            case .text(_, let sequence): sequence > last ? self : nil
            }
        }
    }

    private let capacity: Int
    private var entries = CircularBuffer<Entry>(initialCapacity: 0)
    /// Memory used by the entries, in bytes.
    private(set) var bytes = 0

    /// Whether the room was restored from disk without its frames.
    private(set) var isIncomplete: Bool

    /// - Parameter capacity: in bytes. At least this much is kept, and at most one batch more.
    init(capacity: Int, isIncomplete: Bool = false) {
        self.capacity = capacity
        self.isIncomplete = isIncomplete
    }

    /// Called when the frames from now on do not build on earlier ones.
    mutating func beginAnew() { isIncomplete = false }

    mutating func append(_ entry: Entry) {
        entries.append(entry)
        bytes += entry.cost
        while let oldest = entries.first, bytes - oldest.cost >= capacity {
            bytes -= oldest.cost
            entries.removeFirst()
        }
    }

    mutating func removeAll() {
        isIncomplete = false
        entries = CircularBuffer(initialCapacity: 0)
        bytes = 0
    }

    /// Everything after `last`; nil if some of that is no longer (or not yet) in the ring.
    /// - Parameter newest: the sequence of the room's newest frame; 0 when there was none.
    func after(_ last: UInt64, newest: UInt64) -> [Entry]? {
        if last == newest { return [] }
        guard last < newest, let first = entries.first, first.firstSequence <= last + 1 else { return nil }
        return entries.compactMap { $0.after(last) }
    }
}
