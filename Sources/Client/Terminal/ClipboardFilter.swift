/// Takes what would set or read a guest's clipboard (OSC 52) out of output that passes through to their terminal. Whoever types in a
/// shared session could otherwise put a command there that the guest pastes elsewhere.
///
/// Output is cut anywhere; up to seven bytes that may begin such a command are held until it is clear.
struct ClipboardFilter: Sendable {
    private static let opening = Array("\u{1B}]52;".utf8)

    private enum State {
        case outside
        /// So many bytes of ``opening`` were seen, and are held.
        case opening(Int)
        case inside
        /// An ESC inside, which ends it, with or without the backslash of ST.
        case insideEscape
    }

    private var state = State.outside

    /// How many were taken out.
    private(set) var removed = 0

    mutating func pass(_ bytes: [UInt8]) -> [UInt8] {
        // Most output has no ESC ] in it at all.
        if case .outside = state, !bytes.contains(0x1B) { return bytes }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + Self.opening.count)
        for byte in bytes { take(byte, &out) }
        return out
    }

    private mutating func take(_ byte: UInt8, _ out: inout [UInt8]) {
        switch state {
        case .outside: begin(byte, &out)
        case .opening(let seen):
            if byte == Self.opening[seen] {
                guard seen + 1 == Self.opening.count else { return state = .opening(seen + 1) }
                removed += 1
                state = .inside
            } else {
                out += Self.opening[..<seen]
                begin(byte, &out)
            }
        case .inside:
            switch byte {
            case 0x07, 0x18, 0x1A: state = .outside
            case 0x1B: state = .insideEscape
            default: break
            }
        case .insideEscape:
            state = .outside
            // ESC alone ends it and begins something else.
            guard byte != 0x5C else { return }
            begin(0x1B, &out)
            take(byte, &out)
        }
    }

    private mutating func begin(_ byte: UInt8, _ out: inout [UInt8]) {
        if byte == Self.opening[0] {
            state = .opening(1)
        } else {
            state = .outside
            out.append(byte)
        }
    }
}
