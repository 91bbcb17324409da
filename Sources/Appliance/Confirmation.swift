import CPlatform
import Database
import Model

/// Asks for confirmation before an action that cannot be undone.
enum Confirmation {
    /// - Throws: ``CommandFailure`` for every answer except yes, and if nobody can be asked.
    static func ask(_ question: String) throws {
        guard postern_is_terminal(0) == 1 else {
            throw CommandFailure("this needs confirmation, and there is no terminal; use --yes", status: 2)
        }
        Output.write("\(question) Type yes: ", 2)
        guard readLine()?.lowercased() == "yes" else { throw CommandFailure("nothing was changed") }
    }
}
