import Glibc

/// Processor time of other processes, from Linux's own account of every thread: to the nanosecond, where `stat` counts in
/// hundredths of a second.
struct ProcessorTime {
    let pids: [Int32]

    /// Seconds so far, of all threads that live.
    var seconds: Double { pids.reduce(0) { $0 + Double(Self.nanoseconds(of: $1)) / 1e9 } }

    private static func nanoseconds(of pid: Int32) -> UInt64 {
        let folder = "/proc/\(pid)/task"
        guard let tasks = opendir(folder) else { return 0 }
        defer { closedir(tasks) }
        var total: UInt64 = 0
        while let entry = readdir(tasks) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard !name.hasPrefix("."), let file = fopen("\(folder)/\(name)/schedstat", "r") else { continue }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 128)
            guard fgets(&line, Int32(line.count), file) != nil else { continue }
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            total += text.split(separator: " ").first.flatMap { UInt64($0) } ?? 0
        }
        return total
    }
}
