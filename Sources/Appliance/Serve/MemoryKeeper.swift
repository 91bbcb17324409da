import CPlatform
import Database
import Files
import Glibc
import NIOPosix
import ServiceLifecycle

/// Gives memory back to the system after a burst: the allocator keeps what was freed, and a small machine needs it elsewhere.
struct MemoryKeeper: Service {
    /// Between two looks, in seconds.
    private static let pause = Duration.seconds(5)
    /// Growth since the last time that is worth the allocator's locks, in bytes: more than a busy server's ordinary ups and downs.
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

    /// Resident memory; 0 where the system does not say.
    private static var residentBytes: Int {
        // The second number of statm is resident pages; the limit is the length of seven numbers.
        guard let bytes = try? WholeFile.read("/proc/self/statm", limit: 256) else { return 0 }
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * pageBytes : 0
    }

    private static let pageBytes = Int(getpagesize())
}
