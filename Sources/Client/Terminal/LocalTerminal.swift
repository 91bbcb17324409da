import CPlatform
import Glibc
import Model

/// The terminal in which this process runs, if any.
struct LocalTerminal {
    /// Whether both standard input and output are a terminal, so that a person uses it.
    static var isInteractive: Bool { isatty(0) == 1 && isatty(1) == 1 }

    static var size: (rows: Int, columns: Int)? {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        guard postern_get_window_size(1, &rows, &columns) == 0, rows > 0, columns > 0 else { return nil }
        return (Int(rows), Int(columns))
    }

    /// The window's size, or what the environment says, or 24 × 80.
    static var sizeOrStandard: (rows: Int, columns: Int) {
        if let size { return size }
        func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
        return (number("LINES") ?? 24, number("COLUMNS") ?? 80)
    }

    static func enterRawMode() throws(ClientError) {
        guard postern_enter_raw_mode(0) == 0 else {
            throw ClientError("cannot switch the terminal to raw mode: \(String(cString: strerror(errno)))")
        }
    }

    static func leaveRawMode() { postern_leave_raw_mode() }
}
