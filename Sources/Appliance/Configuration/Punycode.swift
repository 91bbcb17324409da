/// Converts host names with non-ASCII letters to the form used in DNS and certificates (RFC 3492, RFC 5891).
enum Punycode {
    private static let base = 36
    private static let lowest = 1
    private static let highest = 26
    private static let skew = 38
    private static let damp = 700

    /// `bücher.example` as `xn--bcher-kva.example`. The registry decides which letters are allowed in names.
    static func host(_ name: String) -> String {
        name.lowercased().split(separator: ".", omittingEmptySubsequences: false)
            .map { $0.utf8.allSatisfy { $0 < 0x80 } ? String($0) : "xn--" + encoded(String($0)) }
            .joined(separator: ".")
    }

    /// RFC 3492, section 6.3.
    private static func encoded(_ label: String) -> String {
        let scalars = label.unicodeScalars.map { Int($0.value) }
        var output = scalars.filter { $0 < 0x80 }.map { UInt8($0) }
        let basic = output.count
        if basic > 0 { output.append(0x2D) }
        var (handled, delta, bias, point) = (basic, 0, 72, 0x80)
        while handled < scalars.count {
            guard let next = scalars.filter({ $0 >= point }).min() else { break }
            delta += (next - point) * (handled + 1)
            point = next
            for scalar in scalars {
                if scalar < point { delta += 1 }
                guard scalar == point else { continue }
                var (rest, place) = (delta, base)
                while true {
                    let threshold = min(max(place - bias, lowest), highest)
                    if rest < threshold { break }
                    output.append(digit(threshold + (rest - threshold) % (base - threshold)))
                    rest = (rest - threshold) / (base - threshold)
                    place += base
                }
                output.append(digit(rest))
                bias = adapted(delta, handled + 1, isFirst: handled == basic)
                delta = 0
                handled += 1
            }
            delta += 1
            point += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func digit(_ value: Int) -> UInt8 { UInt8(value < 26 ? 0x61 + value : 0x30 + value - 26) }

    /// RFC 3492, section 6.1.
    private static func adapted(_ delta: Int, _ count: Int, isFirst: Bool) -> Int {
        var delta = isFirst ? delta / damp : delta / 2
        delta += delta / count
        var steps = 0
        while delta > (base - lowest) * highest / 2 {
            delta /= base - lowest
            steps += base
        }
        return steps + (base - lowest + 1) * delta / (delta + skew)
    }
}
