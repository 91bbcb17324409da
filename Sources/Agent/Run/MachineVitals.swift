import Files
import Glibc
import Wire

/// The state of this machine as Linux reports it (proc(5), statvfs(3)).
enum MachineVitals {
    /// Maximum size of a file in /proc, in bytes.
    private static let limit = 64 << 10

    /// - Parameter directory: whose file system counts as the disk.
    static func report(directory: String, tunnels: Int) -> MachineReport {
        let memory = self.memory(read("/proc/meminfo"))
        let disk = self.disk(directory)
        return MachineReport(
            load: load(read("/proc/loadavg")), processors: max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))),
            memoryTotal: memory.total, memoryAvailable: memory.available, diskTotal: disk.total, diskFree: disk.free,
            uptime: uptime(read("/proc/uptime")), tunnels: tunnels)
    }

    /// `0.20 0.18 0.12 1/80 11206`
    static func load(_ text: String) -> [Double] {
        let numbers = text.split(separator: " ").prefix(3).compactMap { Double($0) }
        return numbers.count == 3 ? numbers : [0, 0, 0]
    }

    /// `MemTotal:  8048868 kB` and so on. Containers may not have it.
    static func memory(_ text: String) -> (total: Int, available: Int) {
        func bytes(_ name: String) -> Int {
            for line in text.split(separator: "\n") where line.hasPrefix(name) {
                let digits = line.dropFirst(name.count).filter(\.isNumber)
                return (Int(digits) ?? 0) << 10
            }
            return 0
        }
        return (bytes("MemTotal:"), bytes("MemAvailable:"))
    }

    static func uptime(_ text: String) -> Int {
        Int(text.prefix { $0.isNumber }) ?? 0
    }

    private static func disk(_ directory: String) -> (total: Int, free: Int) {
        var found = statvfs()
        guard statvfs(directory, &found) == 0 else { return (0, 0) }
        let block = Int(found.f_frsize)
        return (Int(found.f_blocks) * block, Int(found.f_bavail) * block)
    }

    private static func read(_ path: String) -> String {
        // Files in /proc report a size of zero.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
