import Files
import Model
import Storage
import Synchronization
import TestSupport

@testable import Appliance

/// Runs commands in this process, on a state directory of its own.
final class CommandLineUnderTest {
    struct Done {
        let status: Int32
        let output: String
        let error: String
    }

    let directory: String

    init() throws { directory = try TemporaryDirectory.make() }

    deinit { TemporaryDirectory.remove(directory) }

    func callAsFunction(_ arguments: String...) async -> Done {
        let written = Mutex<(output: String, error: String)>(("", ""))
        let outcome = await Output.$write.withValue({ text, descriptor in
            written.withLock { if descriptor == 1 { $0.output += text } else { $0.error += text } }
        }) {
            let outcome = await Postern.run(arguments)
            if !outcome.text.text.isEmpty { Output.line(outcome.text, to: outcome.descriptor) }
            return outcome
        }
        let (output, error) = written.withLock { $0 }
        return Done(status: outcome.status, output: output, error: error)
    }

    /// A file in the directory.
    func file(_ name: String, _ text: String) throws -> String {
        let path = "\(directory)/\(name)"
        if case .failure(let error) = TextFile.write(text, to: path) { throw CommandFailure("\(error.message)") }
        return path
    }
}
