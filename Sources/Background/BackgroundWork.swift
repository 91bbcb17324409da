import Synchronization

/// Work that nobody waits for while it runs: a mail, an entry that is written behind an answer. Bounded, and waited for at the end.
///
/// Instead of a loose `Task`: what was begun before a shutdown is finished, or cancelled when the time for the shutdown is over.
public final class BackgroundWork: Sendable {
    /// Pieces of work at once that may be left out: each holds a few KiB, and what is behind them (a mail server, the database) does not get
    /// faster by having more of them.
    public static let capacity = 1024

    private struct State {
        var tasks: [Int: Task<Void, Never>] = [:]
        var newest = 0
        /// Work that is done before its task was noted.
        var done: Set<Int> = []
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
        let number = state.withLock { state -> Int? in
            guard isEssential || state.tasks.count < capacity else { return nil }
            state.newest += 1
            return state.newest
        }
        guard let number else { return false }
        let task = Task {
            await body()
            self.finished(number)
        }
        state.withLock { state in
            if state.done.remove(number) == nil { state.tasks[number] = task }
        }
        return true
    }

    private func finished(_ number: Int) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            if state.tasks.removeValue(forKey: number) == nil { state.done.insert(number) }
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
