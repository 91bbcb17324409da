/// Splits the input of a person's terminal into keys. It understands every keyboard protocol that a program may have
/// switched on: legacy bytes, kitty's keyboard protocol (`CSI code;modifiers:event u`), and xterm's modifyOtherKeys
/// (`CSI 27;modifiers;code ~`).
struct TypedKeys {
    enum Key: Equatable {
        /// A byte of a key or a text, which is its own encoding.
        case byte(UInt8)
        /// A key with its encoding. `code` is the ASCII code without Control and Alt if the key has one, the prefix for
        /// `Ctrl-]`, and ESC for other keys.
        case encoded(code: UInt8, spelling: [UInt8])
        /// The release of a key. A program may want to receive it.
        case release(spelling: [UInt8])
    }

    /// The maximum length of an encoded key: code, alternates, modifiers, event and text, in bytes.
    private static let longest = 64
    private static let escape: UInt8 = 0x1B

    /// The start of an incomplete sequence: `ESC [` and at least one more byte.
    private var cut: [UInt8] = []

    mutating func take(_ bytes: [UInt8]) -> [Key] {
        let bytes = cut + bytes
        cut = []
        var keys: [Key] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == Self.escape, index + 2 < bytes.count, bytes[index + 1] == UInt8(ascii: "[") else {
                keys.append(.byte(bytes[index]))
                index += 1
                continue
            }
            // Parameters, and then the byte that ends the sequence (ECMA-48, section 5.4).
            let end = bytes[(index + 2)...].firstIndex { !(0x20...0x3F).contains($0) }
            guard let end else {
                let rest = Array(bytes[index...])
                if rest.count <= Self.longest { cut = rest } else { keys += rest.map { .byte($0) } }
                return keys
            }
            keys.append(Self.key(Array(bytes[index...end])))
            index = end + 1
        }
        return keys
    }

    private static func key(_ spelling: [UInt8]) -> Key {
        let text = String(decoding: spelling.dropFirst(2).dropLast(), as: UTF8.self)
        let fields = text.split(separator: ";", omittingEmptySubsequences: false)
        func number(_ field: Int, _ part: Int = 0) -> Int? {
            guard field < fields.count else { return nil }
            let parts = fields[field].split(separator: ":", omittingEmptySubsequences: false)
            return part < parts.count ? Int(parts[part]) : nil
        }
        let (code, modifiers, event): (Int?, Int, Int)
        switch spelling.last {
        case UInt8(ascii: "u"): (code, modifiers, event) = (number(0), number(1) ?? 1, number(1, 1) ?? 1)
        case UInt8(ascii: "~") where number(0) == 27: (code, modifiers, event) = (number(2), number(1) ?? 1, 1)
        default: return .encoded(code: escape, spelling: spelling)
        }
        if event == 3 { return .release(spelling: spelling) }
        // Ignores Caps Lock and Num Lock.
        let held = (modifiers - 1) & 0b11_1111
        guard let code, let byte = UInt8(exactly: code), byte < 0x80 else {
            return .encoded(code: escape, spelling: spelling)
        }
        // Control and a closing bracket, on whichever key the bracket is.
        if held & ~1 == 4, byte == UInt8(ascii: "]") { return .encoded(code: Menu.prefix, spelling: spelling) }
        return .encoded(code: held & ~1 == 0 ? byte : escape, spelling: spelling)
    }
}
