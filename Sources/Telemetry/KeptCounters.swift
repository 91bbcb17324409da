import Glibc
import Synchronization

/// Counters that survive a kill of the process. They are in memory that is mapped from a file, so adding is one store
/// and no system call.
///
/// The kernel keeps what was stored, however the process ends; only a power failure of the machine loses it. Each
/// counter has a name and a slot in the file. Only the owner that opened a counter changes it.
public final class KeptCounters: Sendable {
    /// Number of counters in the file: more rooms than one event loop can serve well. Further counters are kept only in
    /// memory.
    public static let capacity = 16_384
    /// Bytes of a slot, which is one cache line: the count (8), the name's length (1) and the name.
    private static let slotBytes = 64
    private static let nameOffset = 9
    /// Maximum length of a name, in bytes.
    public static let longestName = slotBytes - nameOffset
    private static let fileBytes = capacity * slotBytes
    /// Slots that are read at once, so that only a part of the file is in memory.
    private static let slotsPerRead = 1024

    /// One counter. Confined to its owner.
    public struct Counter {
        /// The counter's place, to return it; see ``KeptCounters/close(_:)``.
        public let place: Place
        fileprivate let number: UnsafeMutablePointer<Int>
        /// Keeps the memory mapped as long as a counter exists.
        fileprivate let owner: KeptCounters

        public var value: Int { number.pointee }

        /// - Parameter amount: may be negative, to correct an earlier one. The caller keeps the total at zero or more.
        public func add(_ amount: Int) { number.pointee &+= amount }
    }

    /// The location of a counter.
    public struct Place: Sendable {
        fileprivate enum Kind: Sendable {
            case slot(Int)
            /// The address of a number that did not fit in the file.
            case memory(UInt)
        }

        fileprivate let kind: Kind
    }

    /// The address of the first slot. Slots are assigned by `free`: from `open` to `close`, a slot belongs to one
    /// counter, and nothing else accesses it.
    private let address: UInt
    // The pointer came from `mmap` and is not null.
    private var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }
    private let free: Mutex<FreeSlots>
    /// The file's descriptor. The file is locked by us while it is open; -1 without a file.
    private let file: Int32

    private struct FreeSlots {
        /// Slots that were returned.
        var returned: [Int] = []
        /// The first slot that was never used.
        var next = 0

        mutating func take() -> Int? {
            if let slot = returned.popLast() { return slot }
            guard next < KeptCounters.capacity else { return nil }
            defer { next += 1 }
            return next
        }
    }

    private init(base: UnsafeMutableRawPointer, file: Int32) {
        self.file = file
        address = UInt(bitPattern: base)
        free = Mutex(FreeSlots())
    }

    deinit {
        munmap(base, Self.fileBytes)
        if file >= 0 { Glibc.close(file) }
    }

    /// Counts only in memory, which a kill loses.
    public convenience init() {
        // Pages are allocated on access. A machine without a megabyte of address space cannot continue.
        let made = mmap(nil, Self.fileBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(made != MAP_FAILED, "no memory for counters")
        self.init(base: made!, file: -1)
    }

    /// Creates an empty file. The counts of the last process are dropped, see ``left(at:)``.
    /// - Throws: ``Failure``; also if another process uses the file, or if the disk has no space for all of it, because
    ///   that must not fail later.
    public convenience init(path: String) throws(Failure) {
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw Failure(path, errno) }
        do throws(Failure) {
            // Truncating the file while another process has it mapped would crash that process.
            guard flock(file, LOCK_EX | LOCK_NB) == 0, ftruncate(file, 0) == 0 else { throw Failure(path, errno) }
            let refused = posix_fallocate(file, 0, off_t(Self.fileBytes))
            guard refused == 0 else { throw Failure(path, refused) }
            let made = mmap(nil, Self.fileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            guard let made, made != MAP_FAILED else { throw Failure(path, errno) }
            self.init(base: made, file: file)
        } catch {
            Glibc.close(file)
            throw error
        }
    }

    /// The counts that the last process did not close, by name; empty if there is no file.
    /// - Throws: ``Failure``.
    public static func left(at path: String) throws(Failure) -> [String: Int] {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        if file < 0 && errno == ENOENT { return [:] }
        guard file >= 0 else { throw Failure(path, errno) }
        defer { Glibc.close(file) }
        var found: [String: Int] = [:]
        var chunk = [UInt8](repeating: 0, count: slotsPerRead * slotBytes)
        for start in stride(from: 0, to: fileBytes, by: chunk.count) {
            let count = chunk.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, off_t(start)) }
            guard count >= 0 else { throw Failure(path, errno) }
            for slot in 0..<count / slotBytes {
                let bytes = chunk[slot * slotBytes..<(slot + 1) * slotBytes]
                if let (name, value) = parse(bytes) { found[name] = value }
            }
            if count < chunk.count { break }
        }
        return found
    }

    private static func parse(_ slot: ArraySlice<UInt8>) -> (String, Int)? {
        let length = Int(slot[slot.startIndex + 8])
        guard (1...longestName).contains(length) else { return nil }
        let value = slot.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let name = String(validating: slot.dropFirst(nameOffset).prefix(length), as: UTF8.self)
        guard let name, let count = Int(exactly: value) else { return nil }
        return (name, count)
    }

    /// Opens a counter.
    /// - Parameters:
    ///   - name: not empty, at most ``longestName`` bytes; a longer one is counted only in memory.
    ///   - start: the initial count.
    public func open(_ name: String, from start: Int = 0) -> Counter {
        let bytes = Array(name.utf8)
        guard (1...Self.longestName).contains(bytes.count), let slot = free.withLock({ $0.take() }) else {
            let number = UnsafeMutablePointer<Int>.allocate(capacity: 1)
            number.initialize(to: start)
            return Counter(place: Place(kind: .memory(UInt(bitPattern: number))), number: number, owner: self)
        }
        let place = base + slot * Self.slotBytes
        let number = place.assumingMemoryBound(to: Int.self)
        number.pointee = start
        (place + Self.nameOffset).copyMemory(from: bytes, byteCount: bytes.count)
        // A slot is valid once it has a length. If the process is killed before, the slot does not exist.
        atomicMemoryFence(ordering: .releasing)
        (place + 8).storeBytes(of: UInt8(bytes.count), as: UInt8.self)
        return Counter(place: Place(kind: .slot(slot)), number: number, owner: self)
    }

    /// Closes a counter whose count was recorded elsewhere. The counter must not be used any more.
    public func close(_ place: Place) {
        switch place.kind {
        case .slot(let slot):
            (base + slot * Self.slotBytes + 8).storeBytes(of: 0, as: UInt8.self)
            atomicMemoryFence(ordering: .releasing)
            free.withLock { $0.returned.append(slot) }
        case .memory(let address): UnsafeMutablePointer<Int>(bitPattern: address)?.deallocate()
        }
    }

    /// Why the file could not be opened or created.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String

        init(_ path: String, _ code: Int32) { description = "\(path): \(String(cString: strerror(code)))" }
    }
}
