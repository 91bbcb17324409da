/// Removes sequences that set or read the clipboard from output that is passed through to a guest's terminal: OSC 52,
/// kitty's OSC 5522, and the copy commands of iTerm2 (OSC 1337). Otherwise, anybody who types in a shared session could
/// put a command into the clipboard that the guest pastes elsewhere.
///
/// It parses as lenient terminals do: OSC starts with ESC ] or U+009D, control characters inside a sequence are
/// ignored, and so are leading zeros of a number. Output may be split anywhere. The start of a command is held until it
/// is clear what it is.
struct ClipboardFilter: Sendable {
    /// Maximum size of the held start of a command, in bytes. A longer one is dropped.
    private static let heldLimit = 64
    private static let clipboardCodes = [52, 5522]
    private static let iTerm = 1337

    private enum State {
        case outside
        /// ESC was seen.
        case escape
        /// The first byte of U+009D was seen.
        case lead
        /// Inside an OSC, before its first semicolon.
        case number(Int)
        /// Inside OSC 1337, before its command is known.
        case key([UInt8])
        case dropping
        /// An ESC inside dropped output. It ends the sequence, with or without the backslash of ST.
        case droppingEscape
    }

    private var state = State.outside
    /// Bytes that were received and not yet passed on.
    private var held: [UInt8] = []

    mutating func pass(_ bytes: [UInt8]) -> [UInt8] {
        // Fast path: most output contains neither byte.
        if case .outside = state, !bytes.contains(where: { $0 == 0x1B || $0 == 0xC2 }) { return bytes }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + held.count)
        for byte in bytes { take(byte, &out) }
        return out
    }

    private mutating func take(_ byte: UInt8, _ out: inout [UInt8]) {
        switch state {
        case .outside: begin(byte, &out)
        case .escape:
            // Control characters do not end it (Williams' diagram); another ESC starts again.
            if byte == 0x5D {
                hold(byte, .number(0))
            } else if byte < 0x20, !Self.cancels(byte) {
                hold(byte, .escape)
            } else {
                release(byte, &out)
            }
        case .lead: if byte == 0x9D { hold(byte, .number(0)) } else { release(byte, &out) }
        case .number(let number):
            switch byte {
            case 0x30...0x39: hold(byte, .number(min(number * 10 + Int(byte - 0x30), 1_000_000)))
            case UInt8(ascii: ";") where Self.clipboardCodes.contains(number): drop()
            case UInt8(ascii: ";") where number == Self.iTerm: hold(byte, .key([]))
            case _ where byte < 0x20 && byte != 0x07 && !Self.cancels(byte): hold(byte, .number(number))
            default: release(byte, &out)
            }
        case .key(let key):
            switch byte {
            case UInt8(ascii: "="), 0x07, 0x1B, 0x18, 0x1A:
                if Self.copies(key) {
                    drop()
                    take(byte, &out)
                } else {
                    release(byte, &out)
                }
            case _ where byte < 0x20: hold(byte, .key(key))
            default: hold(byte, .key(key + [byte]))
            }
        case .dropping:
            switch byte {
            case 0x07, 0x18, 0x1A: state = .outside
            case 0x1B: state = .droppingEscape
            default: break
            }
        case .droppingEscape:
            state = .outside
            // An ESC alone ends the sequence and starts another one.
            guard byte != 0x5C else { return }
            begin(0x1B, &out)
            take(byte, &out)
        }
    }

    /// CAN, SUB and ESC end a sequence.
    private static func cancels(_ byte: UInt8) -> Bool { byte == 0x18 || byte == 0x1A || byte == 0x1B }

    /// `Copy`, `CopyToClipboard`, `EndCopy`.
    private static func copies(_ key: [UInt8]) -> Bool {
        let word = String(decoding: key, as: UTF8.self).lowercased()
        return word.hasPrefix("copy") || word.hasPrefix("endcopy")
    }

    private mutating func begin(_ byte: UInt8, _ out: inout [UInt8]) {
        switch byte {
        case 0x1B: hold(byte, .escape)
        case 0xC2: hold(byte, .lead)
        default: out.append(byte)
        }
    }

    private mutating func hold(_ byte: UInt8, _ next: State) {
        held.append(byte)
        state = next
        if held.count > Self.heldLimit { drop() }
    }

    private mutating func drop() {
        held.removeAll(keepingCapacity: true)
        state = .dropping
    }

    /// The sequence is none of these: passes on what was held, and parses the byte again.
    private mutating func release(_ byte: UInt8, _ out: inout [UInt8]) {
        out += held
        held.removeAll(keepingCapacity: true)
        state = .outside
        begin(byte, &out)
    }
}
