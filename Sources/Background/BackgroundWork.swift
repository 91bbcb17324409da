import Synchronization

/// Work that nobody waits for while it runs: a mail, an entry that is written behind an answer. Bounded, and waited for at the end.
///
/// Instead of a loose `Task`: what was begun before a shutdown is finished, or cancelled when the time for the shutdown is over.
public final class BackgroundWork: Sendable {
    /// With this many pieces running, ``run(isEssential:_:)`` refuses work that is not essential. Each holds a few KiB.
    public static let capacity = 1024

    private struct State {
        var tasks: [Int: Task<Void, Never>] = [:]
        var newest = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let capacity: Int
    private let state = Mutex(State())

    public init(capacity: Int = BackgroundWork.capacity) { self.capacity = capacity }

    /// How much is under way.
    public var count: Int { state.withLock { $0.tasks.count } }

    /// Begins a piece of work.
    /// - Parameter isEssential: is begun however much there is: its number is bounded elsewhere (by seats, by sessions).
    /// - Returns: false where there is too much of it already; then it does not run.
    @discardableResult
    public func run(isEssential: Bool = false, _ body: @escaping @Sendable () async -> Void) -> Bool {
        state.withLock { state in
            guard isEssential || state.tasks.count < capacity else { return false }
            state.newest += 1
            let number = state.newest
            // Its end waits for the lock: a piece is in the list from the start.
            state.tasks[number] = Task {
                await body()
                self.finished(number)
            }
            return true
        }
    }

    private func finished(_ number: Int) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.tasks[number] = nil
            guard state.tasks.isEmpty else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        waiting.forEach { $0.resume() }
    }

    /// Returns when nothing is under way. A caller that is cancelled meanwhile cancels the work, and still waits for its end.
    public func drain() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isIdle = state.withLock { state in
                    if !state.tasks.isEmpty { state.waiting.append(continuation) }
                    return state.tasks.isEmpty
                }
                if isIdle { continuation.resume() }
            }
        } onCancel: {
            for task in state.withLock({ Array($0.tasks.values) }) { task.cancel() }
        }
    }
}
