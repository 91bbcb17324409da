/// Colours that a program set in its terminal: the palette (OSC 4), text, background and cursor (OSC 10, 11, 12).
///
/// A person's terminal has its own colours, often set by their shell. Therefore only colours that a program has changed
/// are reset (OSC 104, 110, 111, 112).
struct Palette: Sendable, Equatable {
    /// Palette indexes that are stored; 255 is the greatest index of OSC 4. The three other colours are stored in
    /// addition.
    private static let indexes = 0...255
    /// Maximum length of a colour, in bytes: `rgb:ffff/ffff/ffff` has 18, and X11 names are shorter than 32.
    private static let descriptionLimit = 32
    /// Text, background and cursor are stored after the palette.
    private static let others = [10, 11, 12]

    /// By index; 266, 267 and 268 are text, background and cursor.
    private var colours: [Int: String] = [:]
    /// Every colour that a program has ever changed: a terminal at the other end may still have it.
    private var touched: Set<Int> = []

    static func == (left: Palette, right: Palette) -> Bool { left.colours == right.colours }

    /// - Parameter text: the whole command. Queries and invalid colours have no effect.
    mutating func take(_ text: [UInt8]) {
        let parts = text.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        guard let code = parts.first.flatMap({ Self.number($0) }) else { return }
        switch code {
        case 4:
            var rest = parts.dropFirst()
            while let index = rest.popFirst(), let colour = rest.popFirst() {
                if let index = Self.number(index), Self.indexes.contains(index) { set(index, colour) }
            }
        case 10, 11, 12:
            // One command may set several colours: further ones belong to the following codes.
            for (offset, colour) in parts.dropFirst().enumerated() where code + offset <= 12 {
                set(256 + code + offset, colour)
            }
        case 104:
            let given = parts.dropFirst().compactMap { Self.number($0) }
            for index in given.isEmpty ? Array(Self.indexes) : given { colours[index] = nil }
        case 110, 111, 112: colours[156 + code] = nil
        default: break
        }
    }

    private mutating func set(_ index: Int, _ colour: ArraySlice<UInt8>) {
        guard Self.isColour(colour) else { return }
        colours[index] = String(decoding: colour, as: UTF8.self)
        touched.insert(index)
    }

    /// `#rgb` with one to four digits each, `rgb:r/g/b`, or an X11 colour name.
    private static func isColour(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first, text.count <= descriptionLimit else { return false }
        func isDigits(_ text: ArraySlice<UInt8>) -> Bool {
            !text.isEmpty
                && text.allSatisfy { byte in
                    switch byte {
                    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
                    default: false
                    }
                }
        }
        if first == 0x23 { return isDigits(text.dropFirst()) && [3, 6, 9, 12].contains(text.count - 1) }
        if text.starts(with: "rgb:".utf8) {
            let parts = text.dropFirst(4).split(separator: 0x2F, omittingEmptySubsequences: false)
            return parts.count == 3 && parts.allSatisfy { isDigits($0) && $0.count <= 4 }
        }
        return text.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: false
            }
        }
    }

    private static func number(_ text: ArraySlice<UInt8>) -> Int? {
        guard !text.isEmpty, text.count <= 3 else { return nil }
        var value = 0
        for byte in text {
            guard (0x30...0x39).contains(byte) else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return value
    }

    /// The sequence that changes another palette, which a terminal has, to this one.
    func sequence(from old: Palette) -> String {
        var text = ""
        for index in touched.union(old.touched).sorted() where colours[index] != old.colours[index] || !old.knows(index)
        {
            text += colours[index].map { Self.setting(index, $0) } ?? Self.resetting(index)
        }
        return text
    }

    private func knows(_ index: Int) -> Bool { touched.contains(index) }

    /// The colours that differ from a terminal's own, by index: 0 to 255, and 266, 267, 268 for text, background, cursor.
    var changed: [(index: Int, colour: String)] {
        colours.sorted { $0.key < $1.key }.map { (index: $0.key, colour: $0.value) }
    }

    /// Resets everything that was changed.
    var off: String { touched.sorted().map(Self.resetting).joined() }

    private static func setting(_ index: Int, _ colour: String) -> String {
        index > 255 ? "\u{1B}]\(index - 256);\(colour)\u{07}" : "\u{1B}]4;\(index);\(colour)\u{07}"
    }

    private static func resetting(_ index: Int) -> String {
        index > 255 ? "\u{1B}]\(index - 156)\u{07}" : "\u{1B}]104;\(index)\u{07}"
    }
}
