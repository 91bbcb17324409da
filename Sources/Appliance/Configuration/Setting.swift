import Outbound
import TransportSecurity

/// One setting of the owner: a line in the configuration file, a variable and a flag, all with the same name.
struct Setting: Sendable {
    enum Kind: Sendable {
        case text
        case path
        case number(ClosedRange<Int>)
        case yesNo
        case choice([String])
        /// Separated by commas in a variable or a flag. A YAML list in the file.
        case list
        /// The same. Each element is a path that starts with /.
        case paths
        /// Host names and numeric addresses.
        case names
        /// Numeric addresses.
        case addresses
        /// An address with one of these schemes.
        case url([String])
        /// `host:port`, `*:port`, or `off`.
        case address
        /// A host name with at least two labels.
        case domain
        /// `FIRST-LAST`
        case ports
    }

    /// The key in the file: `tls-mode`.
    let key: String
    let kind: Kind
    /// The default. Nil if there is none.
    let standard: String?
    /// One sentence for the file, `--help` and the documentation.
    let help: String
    /// Whether it takes effect on SIGHUP. All other settings need a restart.
    var reloads = false
    /// Whether the value is never shown.
    var isSecret = false

    /// `POSTERN_TLS_MODE`
    var variable: String { "POSTERN_" + key.uppercased().map { $0 == "-" ? "_" : String($0) }.joined() }

    /// `--tls-mode`
    var flag: String { "--\(key)" }

    /// The words of a choice. Nil for other kinds.
    var words: [String]? {
        switch kind {
        case .choice(let words): words
        case .yesNo: ["yes", "no"]
        default: nil
        }
    }

    var isPath: Bool {
        switch kind {
        case .path, .paths: true
        default: false
        }
    }

    /// - Returns: the problem with a value, or nil.
    func problem(with value: String) -> String? {
        switch kind {
        case .text, .list: return nil
        case .path: return value.hasPrefix("/") ? nil : "must be a path that starts with /"
        case .names, .addresses:
            let parts = value.split(separator: ",").map { String($0).trimmed }
            if case .addresses = kind {
                return parts.allSatisfy(IPAddressText.isAddress) ? nil : "must be a list of numeric addresses"
            }
            if let other = parts.first(where: { !$0.utf8.allSatisfy { $0 < 0x80 } }) {
                return "must have names in their ASCII form, \(Punycode.host(other))"
            }
            return parts.allSatisfy(Self.isName) ? nil : "must be a list of host names and numeric addresses"
        case .url(let schemes):
            let isURL = schemes.contains { WebAddress(value, scheme: $0) != nil } && !value.contains { $0.isWhitespace }
            return isURL ? nil : "must be an address as in \(schemes[0])://box.example"
        case .paths:
            let isRight = value.split(separator: ",").allSatisfy { String($0).trimmed.hasPrefix("/") }
            return isRight ? nil : "must be a path that starts with /, or a list of them"
        case .number(let range):
            if let number = Int(value), range.contains(number) { return nil }
            return "must be a number from \(range.lowerBound) to \(range.upperBound)"
        case .yesNo: return ["yes", "no", "true", "false"].contains(value) ? nil : "must be yes or no"
        case .choice(let words): return words.contains(value) ? nil : "must be one of \(words.joined(separator: ", "))"
        case .domain:
            if !value.utf8.allSatisfy({ $0 < 0x80 }) { return "must be in its ASCII form, \(Punycode.host(value))" }
            let isDomain =
                Self.isName(value) && value.contains(".") && !value.hasPrefix("*") && value == value.lowercased()
            return isDomain && !IPAddressText.isAddress(value)
                ? nil : "must be a domain in lower case, as in t.example.net"
        case .ports: return PortRange.read(value) != nil ? nil : "must be a range of ports, as in 20000-20099"
        case .address: return ListenAddress(value) != nil ? nil : "must be HOST:PORT, *:PORT for every address, or off"
        }
    }
}

extension Setting {
    /// RFC 1123, section 2.1, with a wildcard as in certificates, or a numeric address.
    private static func isName(_ text: String) -> Bool {
        if IPAddressText.isAddress(text) { return true }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        guard text.utf8.count <= 253 else { return false }
        return labels.enumerated().allSatisfy { index, label in
            if index == 0 && label == "*" && labels.count > 2 { return true }
            return (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                && label.utf8.allSatisfy {
                    ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7A || $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2D
                }
        }
    }
}

/// The address of a listener.
enum ListenAddress: Sendable, Equatable {
    case off
    case at(host: String, port: Int)

    init?(_ text: String) {
        if text == "off" || text == "no" || text == "false" {
            self = .off
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { return nil }
        let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
        guard !host.isEmpty else { return nil }
        self = .at(host: host, port: port)
    }
}
