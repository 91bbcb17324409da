import Database
import Glibc
import Model
import NIOCore
import Wire

/// Standard output and standard error. Each line is one unbuffered write: C's streams are shared mutable state.
enum Output {
    /// Writes text to a descriptor. By default this is the process's own descriptor, unless a caller runs a command to get its output.
    @TaskLocal static var write: @Sendable (_ text: String, _ descriptor: CInt) -> Void = writeAll

    static func line(_ text: TerminalText, to descriptor: CInt = 1) { write(text.text + "\n", descriptor) }

    static func error(_ text: TerminalText) { line(text, to: 2) }

    /// One JSON object on one line, without characters that control a terminal.
    static func json(_ value: some Encodable) {
        line(TerminalText(trusted: VisibleText.escapedJSON(String(buffer: JSONText.encode(value)))))
    }

    @Sendable private static func writeAll(_ text: String, to descriptor: CInt) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // The reader has closed its end.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
