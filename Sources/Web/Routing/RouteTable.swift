import Synchronization

/// Which methods each path knows, and whether it is a page: for answers that no handler gives (405, OPTIONS) and for headers that
/// depend on who asks.
///
/// Filled while routes are added, before the server takes its first request.
final class RouteTable: Sendable {
    /// What is known of a path.
    struct Entry: Equatable {
        /// Sorted, as `Allow` names them.
        var methods: Set<String>
        var isPage: Bool

        var allow: String { methods.sorted().joined(separator: ", ") }
    }

    private struct Known {
        let segments: [Substring]
        var entry: Entry
    }

    private let known = Mutex<[Known]>([])

    func add(_ method: String, _ path: String, isPage: Bool) {
        // A GET is answered without its body to HEAD, and every path answers OPTIONS.
        let methods: Set<String> = method == "GET" ? ["GET", "HEAD", "OPTIONS"] : [method, "OPTIONS"]
        let segments = Self.segments(path)
        known.withLock { known in
            if let index = known.firstIndex(where: { $0.segments == segments }) {
                known[index].entry.methods.formUnion(methods)
            } else {
                known.append(Known(segments: segments, entry: Entry(methods: methods, isPage: isPage)))
            }
        }
    }

    /// What the path of a request can be asked for; nil where there is nothing.
    func entry(for path: String) -> Entry? {
        let asked = Self.segments(path)
        return known.withLock { known in
            let matching = known.filter { Self.matches($0.segments, asked) }
            guard let first = matching.first else { return nil }
            return matching.dropFirst().reduce(into: first.entry) { $0.methods.formUnion($1.entry.methods) }
        }
    }

    private static func segments(_ path: String) -> [Substring] { path.split(separator: "/") }

    private static func matches(_ pattern: [Substring], _ asked: [Substring]) -> Bool {
        pattern.count == asked.count && zip(pattern, asked).allSatisfy { $0.hasPrefix(":") || $0 == $1 }
    }
}
