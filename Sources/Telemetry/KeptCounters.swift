import Glibc
import Synchronization

/// Counts that outlive a kill of the process: memory that is mapped from a file, so that adding is one store and no system call.
///
/// The kernel keeps what was stored, whatever ends the process; only a machine that loses its power loses it. Each count has a
/// name and a slot of the file; whoever opened it is the only one to change it.
public final class KeptCounters: Sendable {
    /// Counts that the file holds: more rooms than a loop can serve well. One more is kept in memory alone.
    public static let capacity = 16_384
    /// Bytes of a slot, a line of the processor's cache: the count (8), the name's length (1) and the name.
    private static let slotBytes = 64
    private static let nameOffset = 9
    /// Bytes of the longest name that fits.
    public static let longestName = slotBytes - nameOffset
    private static let fileBytes = capacity * slotBytes
    /// Slots read at once: what is read is in memory only for a moment.
    private static let slotsPerRead = 1024

    /// One count. Confined to whoever opened it.
    public struct Counter {
        /// Gives the count's place back; see ``KeptCounters/close(_:)``.
        public let place: Place
        fileprivate let number: UnsafeMutablePointer<Int>
        /// The memory is there for as long as a counter is.
        fileprivate let owner: KeptCounters

        public var value: Int { number.pointee }

        /// - Parameter amount: may be negative, to correct an earlier one. The caller keeps the total at zero or more.
        public func add(_ amount: Int) { number.pointee &+= amount }
    }

    /// Where a count is.
    public struct Place: Sendable {
        fileprivate enum Kind: Sendable {
            case slot(Int)
            /// The address of a number that no file has room for.
            case memory(UInt)
        }

        fileprivate let kind: Kind
    }

    /// Where the slots begin. They are shared out by `free`: a slot belongs to the counter that was given it, from `open` to
    /// `close`, and is touched by nobody else.
    private let address: UInt
    // Of a pointer that `mmap` gave, which is not null.
    private var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }
    private let free: Mutex<FreeSlots>
    /// Of the file, which is ours alone for as long as it is open; -1 without one.
    private let file: Int32

    private struct FreeSlots {
        /// Slots that were given back.
        var returned: [Int] = []
        /// The first that has never been used.
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

    /// Counts in memory alone, which a kill loses.
    public convenience init() {
        // Memory is taken when it is touched. A machine that has no megabyte of addresses left cannot go on.
        let made = mmap(nil, Self.fileBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(made != MAP_FAILED, "no memory for counters")
        self.init(base: made!, file: -1)
    }

    /// Begins an empty file; what the last process left is gone, see ``left(at:)``.
    /// - Throws: ``Failure``; also when another process counts there, or when the disk has no room for the whole of it, which
    ///   must not turn out later.
    public convenience init(path: String) throws(Failure) {
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw Failure(path, errno) }
        do throws(Failure) {
            // Emptied under another's mapping, it would end that process.
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

    /// What the last process counted and did not give back, by name; nothing where there is no file.
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

    /// Begins a count.
    /// - Parameters:
    ///   - name: not empty, at most ``longestName`` bytes; a longer one is counted in memory alone.
    ///   - start: what was counted before.
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
        // A slot counts once it has a length: killed before, it never was.
        atomicMemoryFence(ordering: .releasing)
        (place + 8).storeBytes(of: UInt8(bytes.count), as: UInt8.self)
        return Counter(place: Place(kind: .slot(slot)), number: number, owner: self)
    }

    /// Ends a count, which has been written down elsewhere. Its counter is not used any more.
    public func close(_ place: Place) {
        switch place.kind {
        case .slot(let slot):
            (base + slot * Self.slotBytes + 8).storeBytes(of: 0, as: UInt8.self)
            atomicMemoryFence(ordering: .releasing)
            free.withLock { $0.returned.append(slot) }
        case .memory(let address): UnsafeMutablePointer<Int>(bitPattern: address)?.deallocate()
        }
    }

    /// Why there is no such file.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String

        init(_ path: String, _ code: Int32) { description = "\(path): \(String(cString: strerror(code)))" }
    }
}
