import Database
import Model

/// The reason why a command stops: one sentence that names the remedy, and the exit status.
struct CommandFailure: Error, CustomStringConvertible {
    let message: TerminalText
    /// 1 refused or failed, 2 wrong usage, 75 try again.
    let status: Int32

    init(_ message: TerminalText, status: Int32 = 1) {
        self.message = message
        self.status = status
    }

    var description: String { message.text }
}
