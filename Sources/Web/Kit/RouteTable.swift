import Sockets
import Synchronization

/// Which methods each path knows, whether it is a page, and what a request to it may take: for answers that no handler gives (405,
/// OPTIONS), for headers that depend on who asks, and for the connection that reads the request.
///
/// Filled while routes are added, before the server takes its first request.
final class RouteTable: Sendable {
    /// What is known of a path.
    struct Entry: Equatable {
        var methods: Set<String>
        var isPage: Bool
        /// By method, where they are not ``RequestBounds/standard``.
        var bounds: [String: RequestBounds] = [:]

        /// As the `Allow` header lists them.
        var allow: String { methods.sorted().joined(separator: ", ") }

        fileprivate mutating func add(_ other: Entry) {
            methods.formUnion(other.methods)
            bounds.merge(other.bounds) { first, _ in first }
        }
    }

    private struct Known {
        let segments: [Substring]
        var entry: Entry
    }

    /// By the number of segments.
    private let known = Mutex<[Int: [Known]]>([:])

    func add(_ method: String, _ path: String, isPage: Bool, bounds: RequestBounds) {
        // A GET is answered without its body to HEAD, and every path answers OPTIONS.
        let methods: Set<String> = method == "GET" ? ["GET", "HEAD", "OPTIONS"] : [method, "OPTIONS"]
        let segments = Self.segments(path)
        let entry = Entry(methods: methods, isPage: isPage, bounds: bounds == .standard ? [:] : [method: bounds])
        known.withLock { known in
            if let index = known[segments.count]?.firstIndex(where: { $0.segments == segments }) {
                known[segments.count]?[index].entry.add(entry)
            } else {
                known[segments.count, default: []].append(Known(segments: segments, entry: entry))
            }
        }
    }

    /// What the path of a request can be asked for; nil where there is nothing.
    func entry(for path: String) -> Entry? {
        let asked = Self.segments(path)
        return known.withLock { known in
            let matching = (known[asked.count] ?? []).filter { Self.matches($0.segments, asked) }
            // The router takes a literal segment before a parameter, from left to right, whatever the method.
            guard let best = matching.map({ Self.shape($0.segments) }).min() else { return nil }
            let same = matching.filter { Self.shape($0.segments) == best }
            return same.dropFirst().reduce(into: same.first?.entry) { $0?.add($1.entry) }
        }
    }

    /// A character for each segment: `a` a literal, `b` a parameter.
    private static func shape(_ pattern: [Substring]) -> String {
        String(pattern.map { $0.hasPrefix(":") ? "b" : "a" })
    }

    /// What a request may take.
    /// - Parameter target: as the request line has it.
    func bounds(_ method: String, _ target: String) -> RequestBounds {
        entry(for: String(target.prefix { $0 != "?" }))?.bounds[method] ?? .standard
    }

    private static func segments(_ path: String) -> [Substring] { path.split(separator: "/") }

    private static func matches(_ pattern: [Substring], _ asked: [Substring]) -> Bool {
        pattern.count == asked.count && zip(pattern, asked).allSatisfy { $0.hasPrefix(":") || $0 == $1 }
    }
}

extension RequestBounds {
    /// For JSON, forms, and requests without a body.
    static let standard = RequestBounds(
        bodyBytes: WebConfiguration.bodyBytes, deadline: WebConfiguration.wholeRequest)
}
