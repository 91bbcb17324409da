/// A control sequence: `ESC [ marker parameters intermediate final` (ECMA-48, section 5.4).
struct ControlSequence {
    /// `?`, `>`, `<` or `=` before the parameters; 0 if there is none.
    var marker: UInt8 = 0
    /// Missing parameters are −1. Sub-parameters (after a colon) are flagged in `subparameters`.
    var parameters: [Int] = []
    var subparameters: Set<Int> = []
    var intermediate: UInt8 = 0

    /// Parameter `index`, or the default if it is missing or 0.
    func parameter(_ index: Int, or standard: Int = 1) -> Int {
        guard index < parameters.count, parameters[index] > 0 else { return standard }
        return parameters[index]
    }
}

/// Receives the parser's events.
protocol ParserSink {
    mutating func print(_ scalar: Unicode.Scalar)
    /// A run of printable ASCII characters, which make up most output.
    mutating func printASCII(_ bytes: UnsafeBufferPointer<UInt8>)
    /// A C0 control character.
    mutating func control(_ byte: UInt8)
    mutating func escape(_ final: UInt8, intermediate: UInt8)
    mutating func controlSequence(_ sequence: ControlSequence, final: UInt8)
    mutating func operatingSystemCommand(_ text: [UInt8])
    /// The start of a string that is no operating system command. `kind` is the byte after its ESC: P for DCS, _ for
    /// APC.
    mutating func deviceString(_ kind: UInt8, _ text: [UInt8])
}

/// Splits a program's output into characters and control functions, according to Paul Williams' state diagram of the
/// VT500.
///
/// All stored data is bounded. A sequence that exceeds a limit is dropped completely.
struct Parser: Sendable {
    /// Maximum number of parameters; xterm has 30.
    private static let parameterLimit = 32
    /// Maximum parameter value: larger than any screen.
    private static let parameterMaximum = 65_535
    /// Maximum length of a stored operating system command, in bytes: titles. Longer ones (pictures, clipboards) are
    /// skipped.
    private static let commandLimit = 4096

    /// Stored bytes of other strings: enough to recognise a picture.
    private static let prefixLimit = 64
    /// An iTerm2 picture is longer than what is stored of a command.
    private static let pictureCommand = Array("1337;File=".utf8)

    private enum State { case ground, escape, sequence, ignoredSequence, command, string, stringEscape }

    private var state = State.ground
    private var sequence = ControlSequence()
    private var intermediate: UInt8 = 0
    private var command: [UInt8] = []
    /// The byte after the ESC that started the string: ] for a command.
    private var stringKind: UInt8 = 0
    private var stringIsCommand: Bool { stringKind == 0x5D }
    private var utf8 = UTF8Decoder()

    mutating func feed<Sink: ParserSink>(_ bytes: UnsafeBufferPointer<UInt8>, into sink: inout Sink) {
        var index = 0
        while index < bytes.count {
            if state == .ground && !utf8.isInside {
                let end = Self.endOfASCII(bytes, from: index)
                if end > index {
                    sink.printASCII(UnsafeBufferPointer(rebasing: bytes[index..<end]))
                    index = end
                    continue
                }
            }
            take(bytes[index], into: &sink)
            index += 1
        }
    }

    private static func endOfASCII(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var index = start
        while index < bytes.count, bytes[index] >= 0x20, bytes[index] < 0x7F { index += 1 }
        return index
    }

    private mutating func take<Sink: ParserSink>(_ byte: UInt8, into sink: inout Sink) {
        // Inside strings, only their terminators have an effect. Anywhere else, ESC, CAN and SUB restart parsing.
        switch state {
        case .command, .string: return takeString(byte, into: &sink)
        case .stringEscape:
            finishString(into: &sink)
            if byte == 0x5C { return state = .ground }
            state = .escape
            return takeEscape(byte, into: &sink)
        default: break
        }
        if byte == 0x1B {
            utf8.reset()
            intermediate = 0
            state = .escape
        } else if byte == 0x18 || byte == 0x1A {
            state = .ground
        } else if byte < 0x20 {
            sink.control(byte)
        } else {
            switch state {
            case .ground: takeText(byte, into: &sink)
            case .escape: takeEscape(byte, into: &sink)
            case .sequence: takeSequence(byte, into: &sink)
            case .ignoredSequence: if (0x40...0x7E).contains(byte) { state = .ground }
            default: break
            }
        }
    }

    private mutating func takeText<Sink: ParserSink>(_ byte: UInt8, into sink: inout Sink) {
        if byte == 0x7F { return }
        switch utf8.take(byte) {
        case .more: break
        case .scalar(let scalar): sink.print(scalar)
        case .invalid(let again):
            sink.print("\u{FFFD}")
            if again { takeText(byte, into: &sink) }
        }
    }

    private mutating func takeEscape<Sink: ParserSink>(_ byte: UInt8, into sink: inout Sink) {
        switch byte {
        case 0x20...0x2F: intermediate = byte
        case 0x5B where intermediate == 0:
            sequence = ControlSequence()
            state = .sequence
        case 0x5D where intermediate == 0:
            command.removeAll(keepingCapacity: true)
            stringKind = byte
            state = .command
        // DCS, SOS, PM, APC: skipped to their end, but for their first bytes.
        case 0x50 where intermediate == 0, 0x58 where intermediate == 0, 0x5E where intermediate == 0,
            0x5F where intermediate == 0:
            command.removeAll(keepingCapacity: true)
            stringKind = byte
            state = .string
        default:
            state = .ground
            sink.escape(byte, intermediate: intermediate)
        }
    }

    private mutating func takeSequence<Sink: ParserSink>(_ byte: UInt8, into sink: inout Sink) {
        switch byte {
        case 0x30...0x39:
            if sequence.parameters.isEmpty { sequence.parameters.append(-1) }
            let last = sequence.parameters.count - 1
            let value = max(0, sequence.parameters[last]) * 10 + Int(byte - 0x30)
            sequence.parameters[last] = min(value, Self.parameterMaximum)
        case 0x3A, 0x3B:
            if sequence.parameters.isEmpty { sequence.parameters.append(-1) }
            sequence.parameters.append(-1)
            if byte == 0x3A { sequence.subparameters.insert(sequence.parameters.count - 1) }
            if sequence.parameters.count > Self.parameterLimit { state = .ignoredSequence }
        case 0x3C...0x3F:
            if sequence.parameters.isEmpty { sequence.marker = byte } else { state = .ignoredSequence }
        case 0x20...0x2F: sequence.intermediate = byte
        case 0x40...0x7E:
            state = .ground
            sink.controlSequence(sequence, final: byte)
        default: state = .ignoredSequence
        }
    }

    private mutating func takeString<Sink: ParserSink>(_ byte: UInt8, into sink: inout Sink) {
        switch byte {
        case 0x1B: state = .stringEscape
        case 0x07 where stringIsCommand:
            finishString(into: &sink)
            state = .ground
        case 0x18, 0x1A: state = .ground
        default:
            if command.count <= (stringIsCommand ? Self.commandLimit : Self.prefixLimit) { command.append(byte) }
        }
    }

    private mutating func finishString<Sink: ParserSink>(into sink: inout Sink) {
        if !stringIsCommand {
            sink.deviceString(stringKind, command)
        } else if command.count <= Self.commandLimit || command.starts(with: Self.pictureCommand) {
            sink.operatingSystemCommand(command)
        }
        command.removeAll(keepingCapacity: true)
        stringKind = 0
    }
}

/// Decodes UTF-8 that may be cut anywhere (RFC 3629).
struct UTF8Decoder: Sendable {
    enum Step {
        case more
        case scalar(Unicode.Scalar)
        /// `again`: parse the byte itself again.
        case invalid(again: Bool)
    }

    private var value: UInt32 = 0
    private var missing = 0
    private var smallest: UInt32 = 0

    var isInside: Bool { missing > 0 }

    mutating func reset() { missing = 0 }

    mutating func take(_ byte: UInt8) -> Step {
        if missing > 0 {
            guard byte & 0xC0 == 0x80 else {
                missing = 0
                return .invalid(again: true)
            }
            value = value << 6 | UInt32(byte & 0x3F)
            missing -= 1
            if missing > 0 { return .more }
            guard value >= smallest, let scalar = Unicode.Scalar(value) else { return .invalid(again: false) }
            return .scalar(scalar)
        }
        switch byte {
        case ..<0x80: return .scalar(Unicode.Scalar(byte))
        case 0xC2...0xDF: begin(byte & 0x1F, 1, 0x80)
        case 0xE0...0xEF: begin(byte & 0x0F, 2, 0x800)
        case 0xF0...0xF4: begin(byte & 0x07, 3, 0x10000)
        default: return .invalid(again: false)
        }
        return .more
    }

    private mutating func begin(_ bits: UInt8, _ count: Int, _ least: UInt32) {
        value = UInt32(bits)
        missing = count
        smallest = least
    }
}
