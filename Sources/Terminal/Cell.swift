/// A colour as a program asked for it.
public enum Color: Sendable, Equatable {
    case standard
    /// 0 … 255.
    case indexed(UInt8)
    case rgb(UInt8, UInt8, UInt8)
}

/// How a cell is drawn (SGR, ECMA-48 section 8.3.117).
public struct Style: Sendable, Equatable {
    public struct Attributes: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        public static let bold = Attributes(rawValue: 1)
        public static let faint = Attributes(rawValue: 2)
        public static let italic = Attributes(rawValue: 4)
        public static let underline = Attributes(rawValue: 8)
        public static let blink = Attributes(rawValue: 16)
        public static let inverse = Attributes(rawValue: 32)
        public static let hidden = Attributes(rawValue: 64)
        public static let struck = Attributes(rawValue: 128)
    }

    public var foreground = Color.standard
    public var background = Color.standard
    public var attributes: Attributes = []
    /// SGR 58; the standard colour is that of the foreground.
    public var underlineColor = Color.standard
    /// With ``Attributes/underline``: 1 a line, 2 two, 3 curly, 4 dotted, 5 dashed (SGR 4:n).
    public var underlineKind: UInt8 = 0
    /// Not of SGR, and not reset by it.
    public var link = Hyperlink.none

    public init() {}

    /// The SGR sequence that sets exactly this style except for its link, whatever was set before.
    var sequence: String {
        var codes = ["0"]
        let names: [(Attributes, String)] = [
            (.bold, "1"), (.faint, "2"), (.italic, "3"), (.underline, "4"), (.blink, "5"), (.inverse, "7"),
            (.hidden, "8"), (.struck, "9"),
        ]
        codes += names.filter { attributes.contains($0.0) }.map { $0.1 }
        if let code = Self.code(foreground, base: 30) { codes.append(code) }
        if let code = Self.code(background, base: 40) { codes.append(code) }
        var text = "\u{1B}[\(codes.joined(separator: ";"))m"
        // Separate sequences: a terminal without sub-parameters ignores them and keeps the plain line.
        if underlineKind > 1 { text += "\u{1B}[4:\(underlineKind)m" }
        switch underlineColor {
        case .standard: break
        case .indexed(let index): text += "\u{1B}[58:5:\(index)m"
        case .rgb(let red, let green, let blue): text += "\u{1B}[58:2::\(red):\(green):\(blue)m"
        }
        return text
    }

    private static func code(_ color: Color, base: Int) -> String? {
        switch color {
        case .standard: nil
        case .indexed(let index) where index < 8: String(base + Int(index))
        case .indexed(let index) where index < 16: String(base + 60 + Int(index) - 8)
        case .indexed(let index): "\(base + 8);5;\(index)"
        case .rgb(let red, let green, let blue): "\(base + 8);2;\(red);\(green);\(blue)"
        }
    }
}

/// One position of the screen.
public struct Cell: Sendable, Equatable {
    /// The character's first scalar; a space if nothing was written.
    public var scalar: Unicode.Scalar = " "
    /// Combining scalars: accents, joiners, variation selectors. Almost always none.
    var marks = CombiningMarks.none
    public var style = Style()
    /// 1; 2 for the left half of a wide character, 0 for its right half.
    public var width: UInt8 = 1

    public init() {}

    init(_ scalar: Unicode.Scalar, _ style: Style, width: UInt8 = 1) {
        self.scalar = scalar
        self.style = style
        self.width = width
    }

    /// The cell as text; empty for the right half of a wide character.
    public var text: String {
        width == 0 ? "" : String(Character(scalar)) + marks.text
    }

    /// Whether the cell is as after a reset.
    var isBlank: Bool {
        scalar == " " && marks == .none && width == 1 && style == Style()
    }
}
