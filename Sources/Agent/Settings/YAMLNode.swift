import CYAML

/// A YAML document as a tree: texts, lists and mappings, each with its line. Anchors and tags are not for settings.
indirect enum YAMLNode: Sendable, Equatable {
    case text(String, line: Int)
    case list([YAMLNode], line: Int)
    case mapping([Entry], line: Int)

    struct Entry: Sendable, Equatable {
        let key: String
        let line: Int
        let value: YAMLNode
    }

    /// A mistake in a document, and its position.
    struct Problem: Error, Equatable {
        let line: Int
        let text: String
    }

    /// Settings are two or three levels deep.
    private static let deepest = 8

    var line: Int {
        switch self {
        case .text(_, let line), .list(_, let line), .mapping(_, let line): line
        }
    }

    /// - Returns: nil for a document that contains only comments.
    static func parse(_ text: String) throws(Problem) -> YAMLNode? {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { throw Problem(line: 0, text: "out of memory") }
        defer { yaml_parser_delete(&parser) }
        let bytes = Array(text.utf8)
        let result: Result<YAMLNode?, Problem> = bytes.withUnsafeBufferPointer { input in
            yaml_parser_set_input_string(&parser, input.baseAddress, input.count)
            return Result { () throws(Problem) in try document(&parser) }
        }
        return try result.get()
    }

    private enum Event {
        case text(String), listStart, listEnd, mappingStart, mappingEnd, documentEnd, streamEnd, other
    }

    private static func next(_ parser: inout yaml_parser_t) throws(Problem) -> (Event, Int) {
        var event = yaml_event_t()
        guard yaml_parser_parse(&parser, &event) == 1 else {
            let what = parser.problem.map { String(cString: $0) } ?? "not YAML"
            throw Problem(line: Int(parser.problem_mark.line) + 1, text: what)
        }
        defer { yaml_event_delete(&event) }
        let line = Int(event.start_mark.line) + 1
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let text = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            // The null values of YAML.
            let isNothing = scalar.style == YAML_PLAIN_SCALAR_STYLE && ["~", "null"].contains(text)
            return (.text(isNothing ? "" : text), line)
        case YAML_SEQUENCE_START_EVENT: return (.listStart, line)
        case YAML_SEQUENCE_END_EVENT: return (.listEnd, line)
        case YAML_MAPPING_START_EVENT: return (.mappingStart, line)
        case YAML_MAPPING_END_EVENT: return (.mappingEnd, line)
        case YAML_DOCUMENT_END_EVENT: return (.documentEnd, line)
        case YAML_STREAM_END_EVENT: return (.streamEnd, line)
        case YAML_ALIAS_EVENT: throw Problem(line: line, text: "anchors and aliases cannot be used here")
        default: return (.other, line)
        }
    }

    private static func document(_ parser: inout yaml_parser_t) throws(Problem) -> YAMLNode? {
        while true {
            let (event, line) = try next(&parser)
            switch event {
            case .other: continue
            case .documentEnd, .streamEnd: return nil
            case .text(""): return nil
            default:
                let root = try node(event, line, &parser, depth: 0)
                // Expects the end of the document, then the end of the stream.
                while true {
                    let (event, line) = try next(&parser)
                    if case .streamEnd = event { return root }
                    guard case .documentEnd = event else {
                        throw Problem(line: line, text: "a second document begins here; the file must have only one")
                    }
                }
            }
        }
    }

    private static func node(
        _ event: Event, _ line: Int, _ parser: inout yaml_parser_t, depth: Int
    ) throws(Problem) -> YAMLNode {
        guard depth < deepest else { throw Problem(line: line, text: "this is nested too deeply") }
        switch event {
        case .text(let text): return .text(text, line: line)
        case .listStart:
            var items: [YAMLNode] = []
            while true {
                let (event, line) = try next(&parser)
                if case .listEnd = event { break }
                items.append(try node(event, line, &parser, depth: depth + 1))
            }
            return .list(items, line: line)
        case .mappingStart:
            var entries: [Entry] = []
            while true {
                let (event, keyLine) = try next(&parser)
                if case .mappingEnd = event { break }
                guard case .text(let key) = event else { throw Problem(line: keyLine, text: "a key must be a word") }
                if let first = entries.first(where: { $0.key == key }) {
                    throw Problem(line: keyLine, text: "'\(key)' is already set on line \(first.line)")
                }
                let (value, valueLine) = try next(&parser)
                entries.append(
                    Entry(key: key, line: keyLine, value: try node(value, valueLine, &parser, depth: depth + 1)))
            }
            return .mapping(entries, line: line)
        case .listEnd, .mappingEnd, .documentEnd, .streamEnd, .other:
            throw Problem(line: line, text: "this is not YAML")
        }
    }
}
