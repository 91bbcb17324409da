import CPlatform
import Database
import Files
import Glibc
import NIOPosix
import ServiceLifecycle

/// Returns memory to the system after a burst: the allocator keeps freed memory, and a small machine needs it for other processes.
struct MemoryKeeper: Service {
    /// The interval between two checks, in seconds.
    private static let pause = Duration.seconds(5)
    /// The growth since the last time, in bytes, above which memory is returned. It must be worth the allocator's
    /// locks: more than the usual variation of a busy server.
    private static let growthBytes = 16 << 20

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var baseline = Self.residentBytes
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.pause)
                baseline = min(baseline, Self.residentBytes)
                guard Self.residentBytes - baseline > Self.growthBytes else { continue }
                // Not on a thread that answers requests.
                try? await NIOThreadPool.singleton.runIfActive { postern_return_memory() }
                baseline = Self.residentBytes
            }
        }
    }

    /// Resident memory. 0 if the system does not report it.
    private static var residentBytes: Int {
        // The second number in statm is the number of resident pages. The limit is the length of seven numbers.
        guard let bytes = try? WholeFile.read("/proc/self/statm", limit: 256) else { return 0 }
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * pageBytes : 0
    }

    private static let pageBytes = Int(getpagesize())
}
