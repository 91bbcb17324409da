/// Collects metrics into Prometheus' text format (version 0.0.4).
public struct Exposition {
    public private(set) var text = ""
    private var described: Set<String> = []

    public init() {}

    /// - Parameters:
    ///   - name: in base units, with the suffix `_total` for a counter.
    ///   - labels: names and values; values may be any text.
    public mutating func counter(_ name: String, _ help: String, _ value: Int, labels: [(String, String)] = []) {
        describe(name, help, "counter")
        sample(name, labels, "\(value)")
    }

    public mutating func gauge(_ name: String, _ help: String, _ value: Double, labels: [(String, String)] = []) {
        describe(name, help, "gauge")
        sample(name, labels, Self.number(value))
    }

    public mutating func histogram(
        _ name: String, _ help: String, _ histogram: Histogram, labels: [(String, String)] = []
    ) {
        describe(name, help, "histogram")
        let (counts, sum) = histogram.snapshot
        for (bound, count) in zip(histogram.bounds, counts) {
            sample(name + "_bucket", labels + [("le", Self.number(bound))], "\(count)")
        }
        let all = counts.last ?? 0
        sample(name + "_bucket", labels + [("le", "+Inf")], "\(all)")
        sample(name + "_sum", labels, Self.number(sum))
        sample(name + "_count", labels, "\(all)")
    }

    private mutating func describe(_ name: String, _ help: String, _ type: String) {
        guard described.insert(name).inserted else { return }
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: [(String, String)], _ value: String) {
        let inside = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(inside)} \(value)\n"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n", "\r\n": result += "\\n"
            default: result.append(character)
            }
        }
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }
}
