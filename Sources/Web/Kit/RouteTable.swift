import Sockets
import Synchronization

/// The methods of each path, whether it is a page, and the limits of a request. Used for responses without a handler
/// (405, OPTIONS), for headers that depend on the caller, and for the connection that reads the request.
///
/// Filled while routes are added, before the server accepts its first request.
final class RouteTable: Sendable {
    /// The properties of a path.
    struct Entry: Equatable {
        var methods: Set<String>
        var isPage: Bool
        /// By method, if they differ from ``RequestBounds/standard``.
        var bounds: [String: RequestBounds] = [:]

        /// The value of the `Allow` header.
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
        // HEAD is answered like GET without a body, and every path answers OPTIONS.
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

    /// The entry for the path of a request. Nil if there is none.
    func entry(for path: String) -> Entry? {
        let asked = Self.segments(path)
        return known.withLock { known in
            let matching = (known[asked.count] ?? []).filter { Self.matches($0.segments, asked) }
            // The router prefers a literal segment to a parameter, from left to right, for all methods.
            guard let best = matching.map({ Self.shape($0.segments) }).min() else { return nil }
            let same = matching.filter { Self.shape($0.segments) == best }
            return same.dropFirst().reduce(into: same.first?.entry) { $0?.add($1.entry) }
        }
    }

    /// One character for each segment: `a` for a literal, `b` for a parameter.
    private static func shape(_ pattern: [Substring]) -> String {
        String(pattern.map { $0.hasPrefix(":") ? "b" : "a" })
    }

    /// The limits of a request.
    /// - Parameter target: the target in the request line.
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
