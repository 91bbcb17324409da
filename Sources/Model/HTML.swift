/// HTML whose interpolations are escaped unless they are HTML themselves. Code with a missing escape does not compile.
///
///     let row: HTML = "<td>\(user.name)</td>"        // escaped
///     let rows: HTML = "<tr>\(row)</tr>"             // nested as it is
public struct HTML: Sendable, Equatable, ExpressibleByStringInterpolation {
    public let text: String

    /// - Parameter text: our own markup.
    public init(trusted text: String) { self.text = text }

    public init(stringLiteral text: String) { self.text = text }

    public init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        public init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity) }

        public mutating func appendLiteral(_ literal: String) { text += literal }

        public mutating func appendInterpolation(_ html: HTML) { text += html.text }

        public mutating func appendInterpolation(_ text: some StringProtocol) {
            self.text += HTML.escaped(String(text))
        }

        public mutating func appendInterpolation(_ number: Int) { text += "\(number)" }

        /// Markup that is added only if a condition holds: ` required`, a whole section.
        public mutating func appendInterpolation(_ html: HTML, if condition: Bool) {
            if condition { text += html.text }
        }
    }

    /// Concatenates parts.
    public static func list(_ parts: [HTML]) -> HTML { HTML(trusted: parts.map(\.text).joined()) }

    public static func + (left: HTML, right: HTML) -> HTML { HTML(trusted: left.text + right.text) }

    /// Text in the form for HTML, in an element or in a quoted attribute.
    private static func escaped(_ text: String) -> String {
        // Iterates over scalars: a combining mark after `<` would hide it in one character.
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped.append(contentsOf: "&amp;".unicodeScalars)
            case "<": escaped.append(contentsOf: "&lt;".unicodeScalars)
            case ">": escaped.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": escaped.append(contentsOf: "&quot;".unicodeScalars)
            case "'": escaped.append(contentsOf: "&#39;".unicodeScalars)
            case "\n", "\t": escaped.append(scalar)
            case let control where VisibleText.isControl(control):
                escaped.append(contentsOf: VisibleText.escaped(String(Character(control))).unicodeScalars)
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }
}

extension Sequence where Element == HTML {
    /// Concatenates all elements.
    public func joined(separator: HTML = "") -> HTML { HTML(trusted: map(\.text).joined(separator: separator.text)) }
}
