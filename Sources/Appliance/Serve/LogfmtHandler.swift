import Glibc
import Logging

/// One line per event on standard error: `level=info msg="…" key=value`. The journal adds the time; elsewhere we do.
struct LogfmtHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()
    private let hasTime: Bool

    /// - Parameter hasTime: false where the reader adds the time itself.
    init(hasTime: Bool) { self.hasTime = hasTime }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = hasTime ? "time=\(Self.time()) " : ""
        line += "level=\(event.level) msg=\(Self.quoted(event.message.description))"
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) where !key.hasPrefix("hb.") {
            line += " \(key)=\(Self.quoted(value.description))"
        }
        // One write, so that lines of several threads do not mix.
        Output.error(line)
    }

    private static func quoted(_ text: String) -> String {
        guard text.isEmpty || text.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" || $0.isNewline }) else {
            return text
        }
        let escaped = text.flatMap { character -> [Character] in
            switch character {
            case "\"": ["\\", "\""]
            case "\\": ["\\", "\\"]
            case "\n", "\r\n", "\r": ["\\", "n"]
            default: [character]
            }
        }
        return "\"\(String(escaped))\""
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
