import CYAML

/// The configuration file: one level of keys. Each value is a text, a number or a list.
struct ConfigurationFile {
    struct Entry {
        let value: String
        /// Counted from 1.
        let line: Int
    }

    /// A mistake and its location.
    struct Problem: Sendable, CustomStringConvertible {
        let line: Int
        let text: String

        var description: String { "line \(line): \(text)" }
    }

    private(set) var entries: [String: Entry] = [:]
    private(set) var problems: [Problem] = []

    /// - Parameter text: YAML. All mistakes are collected. A syntax error ends the parsing.
    init(yaml text: String) {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else {
            problems.append(Problem(line: 0, text: "out of memory"))
            return
        }
        defer { yaml_parser_delete(&parser) }
        let bytes = Array(text.utf8)
        bytes.withUnsafeBufferPointer { input in
            yaml_parser_set_input_string(&parser, input.baseAddress, input.count)
            read(&parser)
        }
    }

    /// The state between two events of the parser.
    private enum Expectation {
        case mapping, key
        case value(String, Int)
        case items(String, Int, [String])
        case done
    }

    private mutating func read(_ parser: inout yaml_parser_t) {
        var expectation = Expectation.mapping
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(&parser, &event) == 1 else {
                let what = parser.problem.map { String(cString: $0) } ?? "not YAML"
                return problems.append(Problem(line: Int(parser.problem_mark.line) + 1, text: what))
            }
            defer { yaml_event_delete(&event) }
            let line = Int(event.start_mark.line) + 1
            switch (event.type, expectation) {
            case (YAML_STREAM_END_EVENT, _): return
            case (YAML_STREAM_START_EVENT, _), (YAML_DOCUMENT_START_EVENT, _), (YAML_DOCUMENT_END_EVENT, _): break
            case (YAML_MAPPING_START_EVENT, .mapping): expectation = .key
            case (YAML_MAPPING_END_EVENT, .key): expectation = .done
            // A file that contains only comments.
            case (YAML_SCALAR_EVENT, .mapping) where Self.text(event).isEmpty: expectation = .done
            case (YAML_SCALAR_EVENT, .key): expectation = .value(Self.text(event), line)
            case (YAML_SCALAR_EVENT, .value(let key, let line)):
                add(key, Self.text(event), line)
                expectation = .key
            case (YAML_SEQUENCE_START_EVENT, .value(let key, let line)): expectation = .items(key, line, [])
            case (YAML_SCALAR_EVENT, .items(let key, let line, let items)):
                expectation = .items(key, line, items + [Self.text(event)])
            case (YAML_SEQUENCE_END_EVENT, .items(let key, let line, let items)):
                add(key, items.joined(separator: ","), line)
                expectation = .key
            default:
                return problems.append(
                    Problem(line: line, text: "expected a 'key: value' line, found something else"))
            }
        }
    }

    private static func text(_ event: yaml_event_t) -> String {
        String(
            decoding: UnsafeBufferPointer(start: event.data.scalar.value, count: event.data.scalar.length),
            as: UTF8.self)
    }

    private mutating func add(_ key: String, _ value: String, _ line: Int) {
        guard let setting = Setting.named(key) else {
            let hint = Setting.nearest(to: key).map { "; did you mean '\($0)'?" } ?? ""
            return problems.append(Problem(line: line, text: "unknown key '\(key)'\(hint)"))
        }
        if let first = entries[key] {
            return problems.append(Problem(line: line, text: "'\(key)' is already set on line \(first.line)"))
        }
        // "key:" without a value keeps the default.
        guard !value.isEmpty && value != "~" else { return }
        if let problem = setting.problem(with: value) {
            return problems.append(Problem(line: line, text: "'\(key)' \(problem), not '\(value)'"))
        }
        entries[key] = Entry(value: value, line: line)
    }
}
