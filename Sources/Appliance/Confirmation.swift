import CPlatform
import Database
import Model

/// Asks before something that cannot be undone.
enum Confirmation {
    /// - Throws: ``CommandFailure`` for everything but yes, and where nobody can be asked.
    static func ask(_ question: String) throws {
        guard postern_is_terminal(0) == 1 else {
            throw CommandFailure("this asks first, and there is no terminal; say --yes", status: 2)
        }
        Output.write("\(question) Type yes: ", 2)
        guard readLine()?.lowercased() == "yes" else { throw CommandFailure("nothing was changed") }
    }
}
