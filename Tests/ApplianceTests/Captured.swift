import Synchronization

/// Text that a command has written.
final class Captured: Sendable {
    private let written = Mutex("")
    func add(_ text: String) { written.withLock { $0 += text } }
    var text: String { written.withLock { $0 } }
}
