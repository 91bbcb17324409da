import Glibc

/// Standard output and standard error, one write a line, unbuffered: C's streams are shared mutable state.
enum Output {
    static func line(_ text: String, to descriptor: CInt = 1) { write(text + "\n", to: descriptor) }

    static func error(_ text: String) { line(text, to: 2) }

    static func write(_ text: String, to descriptor: CInt) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // Nobody reads any more.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
