import Database
import Glibc
import Logging
import Model
import Wire

/// One line per event on standard error: `level=info msg="…" key=value`, or the same as a JSON object. The journal adds
/// the time. Without the journal we add it.
struct LineLogHandler: LogHandler {
    enum Format: String, Sendable, CaseIterable { case logfmt, json }

    /// The whole process has one level, so that a reload affects every logger.
    var logLevel: Logger.Level {
        get { LogSettings.shared.level }
        set { LogSettings.shared.level = newValue }
    }
    var metadata = Logger.Metadata()
    private let format: Format
    private let hasTime: Bool

    /// - Parameter hasTime: false if the reader adds the time.
    init(format: Format, hasTime: Bool) {
        self.format = format
        self.hasTime = hasTime
    }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields: [(String, String)] = hasTime ? [("time", Self.time())] : []
        fields += [("level", event.level.rawValue), ("msg", event.message.description)]
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        fields += all.compactMap { key, value in Self.name(key).map { ($0, value.description) } }.sorted { $0.0 < $1.0 }
        // One write, so that lines of different threads are not mixed.
        switch format {
        case .logfmt:
            let line = fields.map { "\($0.0)=\(Self.quoted($0.1))" }.joined(separator: " ")
            Output.error(TerminalText(trusted: line))
        case .json:
            let line = fields.map { "\(JSONText.quoted($0.0)):\(JSONText.quoted($0.1))" }.joined(separator: ",")
            Output.error(TerminalText(trusted: VisibleText.escapedJSON("{\(line)}")))
        }
    }

    /// The library's own keys have its name as a prefix. Of those, only the request's id is logged.
    private static func name(_ key: String) -> String? {
        key == "hb.request.id" ? "request" : key.hasPrefix("hb.") ? nil : key
    }

    private static func quoted(_ text: String) -> String {
        // Compare scalars: a combining mark after a quote would hide the quote, and the rest of the line could be chosen by an attacker.
        let isPlain = text.unicodeScalars.allSatisfy {
            $0 > " " && $0 != "\"" && $0 != "=" && !VisibleText.isControl($0)
        }
        if isPlain && !text.isEmpty { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\"\(VisibleText.escaped(escaped))\""
    }

    private static func time() -> String {
        var now = time_t()
        Glibc.time(&now)
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
