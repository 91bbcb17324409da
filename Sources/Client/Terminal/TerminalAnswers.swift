/// Removes the answers of a guest's terminal to the shared program's queries. The host's terminal has already answered
/// them, and a program that gets three answers would take two of them for typed keys.
///
/// No key is encoded like an answer, with one exception: `CSI 1;2R` is a cursor in the first row, and F3 with Shift. It
/// counts as an answer if a position was asked for.
struct TerminalAnswers {
    /// Maximum size of an incomplete answer, in bytes: a clipboard or a palette.
    private static let longest = 64 << 10
    /// Maximum number of unanswered position queries that are counted: a terminal that never answers must not disable
    /// F3 permanently.
    private static let mostAsked = 16
    private static let escape: UInt8 = 0x1B
    private static let bell: UInt8 = 0x07

    private var asked = 0
    /// The start of an incomplete answer.
    private var cut: [UInt8] = []

    /// The person's terminal was asked this many times for its cursor position.
    mutating func askedForPosition(_ count: Int) { asked = min(asked + count, Self.mostAsked) }

    mutating func filter(_ bytes: [UInt8]) -> [UInt8] {
        // Fast path: most input contains no ESC.
        if cut.isEmpty && !bytes.contains(Self.escape) { return bytes }
        let bytes = cut + bytes
        cut = []
        var typed: [UInt8] = []
        var index = 0
        while index < bytes.count {
            switch Self.answer(bytes[index...]) {
            case .none:
                typed.append(bytes[index])
                index += 1
            case .whole(let count, let isPosition):
                if isPosition == .maybeKey && asked == 0 {
                    typed += bytes[index..<(index + count)]
                } else if isPosition != .no {
                    asked = max(0, asked - 1)
                }
                index += count
            case .cut:
                let rest = Array(bytes[index...])
                if rest.count <= Self.longest { cut = rest } else { typed += rest }
                return typed
            }
        }
        return typed
    }

    private enum Position { case no, yes, maybeKey }

    private enum Found {
        case none
        case whole(Int, Position)
        case cut
    }

    /// What starts at this position.
    private static func answer(_ bytes: ArraySlice<UInt8>) -> Found {
        let start = bytes.startIndex
        guard bytes[start] == escape, bytes.count > 2 else { return .none }
        switch bytes[start + 1] {
        case UInt8(ascii: "["): return sequence(bytes)
        // A key with Alt comes alone, while the rest of an answer follows at once.
        case UInt8(ascii: "]"): return isDigit(bytes[start + 2]) ? string(bytes, endsWithBell: true) : .none
        case UInt8(ascii: "P"):
            let next = bytes[start + 2]
            let begins = isDigit(next) || [UInt8(ascii: ">"), UInt8(ascii: "!"), UInt8(ascii: "$")].contains(next)
            return begins ? string(bytes, endsWithBell: false) : .none
        case UInt8(ascii: "_"):
            return bytes[start + 2] == UInt8(ascii: "G") ? string(bytes, endsWithBell: false) : .none
        default: return .none
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// OSC, DCS and APC, up to ST (ECMA-48, section 5.6); for OSC also up to BEL.
    private static func string(_ bytes: ArraySlice<UInt8>, endsWithBell: Bool) -> Found {
        var index = bytes.startIndex + 2
        while index < bytes.endIndex {
            if endsWithBell && bytes[index] == bell { return .whole(index - bytes.startIndex + 1, .no) }
            if bytes[index] == escape {
                guard index + 1 < bytes.endIndex else { return .cut }
                guard bytes[index + 1] == UInt8(ascii: "\\") else { return .none }
                return .whole(index - bytes.startIndex + 2, .no)
            }
            index += 1
        }
        return .cut
    }

    private static func sequence(_ bytes: ArraySlice<UInt8>) -> Found {
        let first = bytes.startIndex + 2
        guard let end = bytes[first...].firstIndex(where: { !(0x20...0x3F).contains($0) }) else {
            // A split key is reassembled by the code that parses keys.
            return bytes.count <= 32 && (isDigit(bytes[first]) || bytes[first] >= 0x3C) ? .cut : .none
        }
        let parameters = bytes[first..<end]
        let marker = parameters.first.flatMap { (0x3C...0x3F).contains($0) ? $0 : nil }
        let count = end - bytes.startIndex + 1
        switch (UnicodeScalar(bytes[end]), marker) {
        // Device attributes, status, terminal parameters, the window's size, modes.
        case ("c", _), ("n", _), ("x", _), ("t", _): return parameters.isEmpty ? .none : .whole(count, .no)
        case ("y", _) where parameters.last == UInt8(ascii: "$"): return .whole(count, .no)
        // Kitty's keyboard flags, xterm's modifyOtherKeys and graphics.
        case ("u", UInt8(ascii: "?")), ("S", UInt8(ascii: "?")), ("m", UInt8(ascii: ">")): return .whole(count, .no)
        case ("R", UInt8(ascii: "?")): return .whole(count, .yes)
        case ("R", nil) where parameters.contains(UInt8(ascii: ";")):
            let numbers = String(decoding: parameters, as: UTF8.self).split(separator: ";").map { Int($0) ?? 0 }
            let isKey = numbers.count == 2 && numbers[0] == 1 && (2...16).contains(numbers[1])
            return .whole(count, isKey ? .maybeKey : .yes)
        default: return .none
        }
    }
}
