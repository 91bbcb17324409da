import NIOCore
import Wire

/// The last broadcasts of a room, by sequence. Ciphertext only.
struct ResumeRing {
    enum Entry {
        case frames(BroadcastBatch)
        /// A broadcast that came as JSON, for whatever its receivers speak.
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

        /// What is left of it behind a sequence.
        fileprivate func after(_ last: UInt64) -> Entry? {
            switch self {
            case .frames(let batch): batch.after(last).map(Entry.frames)
            case .text(_, let sequence): sequence > last ? self : nil
            }
        }
    }

    private let capacity: Int
    private var entries = CircularBuffer<Entry>(initialCapacity: 0)
    /// What the entries hold in memory, in bytes.
    private(set) var bytes = 0

    /// The room came back from the disk without its frames.
    private(set) var isIncomplete: Bool

    /// - Parameter capacity: in bytes. So much is kept at least, and one batch more at most.
    init(capacity: Int, isIncomplete: Bool = false) {
        self.capacity = capacity
        self.isIncomplete = isIncomplete
    }

    /// What comes from now on does not build on earlier frames.
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

    /// Everything after `last`, or nil if some of that is no longer (or not yet) here.
    /// - Parameter newest: the sequence of the room's newest frame; 0 when there was none.
    func after(_ last: UInt64, newest: UInt64) -> [Entry]? {
        if last == newest { return [] }
        guard last < newest, let first = entries.first, first.firstSequence <= last + 1 else { return nil }
        return entries.compactMap { $0.after(last) }
    }
}
