/// One thing that an owner can set. It is a line in the configuration file, a variable and a flag, all of one name.
struct Setting: Sendable {
    enum Kind: Sendable {
        case text
        case path
        case number(ClosedRange<Int>)
        case yesNo
        case choice([String])
        /// Separated by commas in a variable or a flag; a YAML list in the file.
        case list
        /// `host:port`, `*:port`, or `off`.
        case address
    }

    /// As it stands in the file: `tls-mode`.
    let key: String
    let kind: Kind
    /// Nil: not set.
    let standard: String?
    /// One sentence for the file, `--help` and the documentation.
    let help: String
    /// Takes effect on SIGHUP; everything else needs a restart.
    var reloads = false
    /// Never shown.
    var isSecret = false

    /// `POSTERN_TLS_MODE`
    var variable: String { "POSTERN_" + key.uppercased().map { $0 == "-" ? "_" : String($0) }.joined() }

    /// `--tls-mode`
    var flag: String { "--\(key)" }

    /// - Returns: what is wrong with a value, or nil.
    func problem(with value: String) -> String? {
        switch kind {
        case .text, .list: return nil
        case .path: return value.hasPrefix("/") ? nil : "is a path that starts with /"
        case .number(let range):
            if let number = Int(value), range.contains(number) { return nil }
            return "is a number from \(range.lowerBound) to \(range.upperBound)"
        case .yesNo: return ["yes", "no", "true", "false"].contains(value) ? nil : "is yes or no"
        case .choice(let words): return words.contains(value) ? nil : "is one of \(words.joined(separator: ", "))"
        case .address: return ListenAddress(value) != nil ? nil : "is HOST:PORT, *:PORT for every address, or off"
        }
    }
}

/// Where a listener is to be.
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
