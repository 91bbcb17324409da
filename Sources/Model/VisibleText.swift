/// Text that somebody else chose, made safe to print: characters that a terminal, a log or a table would act on are
/// escaped.
///
/// Names, titles, reasons and error messages of other people, servers and certificates pass through here before they reach a terminal
/// (``TerminalText``), a log line or a page.
public enum VisibleText {
    /// Whether a terminal or a text renderer acts on this character instead of showing it: C0 and C1 controls and DEL (ECMA-48),
    /// bidirectional controls (Unicode UAX #9), and line and paragraph separators.
    public static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F: true
        case 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
        case 0x2028, 0x2029: true
        default: false
        }
    }

    /// Whether the text holds none of these characters.
    public static func isPlain(_ text: String) -> Bool { !text.unicodeScalars.contains(where: isControl) }

    /// Replaces each of these characters by its escape: `\u{1B}`.
    public static func escaped(_ text: String) -> String {
        if isPlain(text) { return text }
        return replacing(text) { "\\u{\(String($0.value, radix: 16, uppercase: true))}" }
    }

    /// Removes these characters.
    public static func removed(_ text: String) -> String {
        isPlain(text) ? text : replacing(text) { _ in "" }
    }

    /// The same JSON with these characters inside its strings written as JSON escapes. Encoders escape C0 only.
    /// - Parameter json: one JSON value without white space between its tokens.
    public static func escapedJSON(_ json: String) -> String {
        if isPlain(json) { return json }
        return replacing(json) { scalar in
            let digits = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    private static func replacing(_ text: String, _ replacement: (Unicode.Scalar) -> String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                result.append(contentsOf: replacement(scalar).unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }
}

/// A line for a terminal. Literals are ours and stay as they are; everything that is interpolated is escaped (``VisibleText``), so that
/// a name cannot move the cursor, set a title or begin a line of its own.
public struct TerminalText: Sendable, Equatable, ExpressibleByStringInterpolation, CustomStringConvertible {
    public let text: String

    /// - Parameter text: of our own making: help, a banner, JSON whose strings are escaped.
    public init(trusted text: String) { self.text = text }

    public init(stringLiteral text: String) { self.text = text }

    public init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    public var description: String { text }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        public init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity) }

        public mutating func appendLiteral(_ literal: String) { text += literal }

        public mutating func appendInterpolation(_ value: TerminalText) { text += value.text }

        public mutating func appendInterpolation(_ value: some Any) { text += VisibleText.escaped("\(value)") }
    }
}

extension TerminalText {
    public static func + (left: TerminalText, right: TerminalText) -> TerminalText {
        TerminalText(trusted: left.text + right.text)
    }
}

extension Sequence where Element == TerminalText {
    public func joined(separator: TerminalText) -> TerminalText {
        TerminalText(trusted: map(\.text).joined(separator: separator.text))
    }
}
