import Synchronization

/// Work that no caller waits for, such as a mail or an entry that is written after an answer. It is bounded, and a
/// shutdown waits for it.
///
/// Use this instead of an unstructured `Task`: work that started before a shutdown is finished, or cancelled when the
/// time for the shutdown is over.
public final class BackgroundWork: Sendable {
    /// Above this number of running tasks, ``run(isEssential:_:)`` refuses work that is not essential. Each task uses a
    /// few KiB.
    public static let capacity = 1024

    private struct State {
        var tasks: [Int: Task<Void, Never>] = [:]
        var newest = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let capacity: Int
    private let state = Mutex(State())

    public init(capacity: Int = BackgroundWork.capacity) { self.capacity = capacity }

    /// The number of running tasks.
    public var count: Int { state.withLock { $0.tasks.count } }

    /// Starts a piece of work.
    /// - Parameter isEssential: whether to start the work regardless of the number of tasks, because its amount is
    ///   bounded elsewhere (by seats, by sessions).
    /// - Returns: false if too many tasks are running; the work is then not started.
    @discardableResult
    public func run(isEssential: Bool = false, _ body: @escaping @Sendable () async -> Void) -> Bool {
        state.withLock { state in
            guard isEssential || state.tasks.count < capacity else { return false }
            state.newest += 1
            let number = state.newest
            // The end of the task waits for the lock, so the task is always in the list.
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

    /// Returns when no task is running. If the caller is cancelled meanwhile, the tasks are cancelled, and it still
    /// waits for their end.
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
