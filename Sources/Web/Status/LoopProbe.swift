import NIOCore
import Synchronization

/// Checks whether every event loop responds.
struct LoopProbe: Sendable {
    private let loops: [any EventLoop]

    init(_ group: any EventLoopGroup) { loops = Array(group.makeIterator()) }

    /// - Returns: false if one did not respond in time. Does not wait any longer for it.
    func answer(within time: TimeAmount) async -> Bool {
        let outcome = Outcome(waitingFor: loops.count)
        for loop in loops { loop.execute { outcome.answered() } }
        let patience = Task {
            try await Task.sleep(for: .nanoseconds(time.nanoseconds))
            outcome.end(false)
        }
        defer { patience.cancel() }
        return await outcome.value
    }

    /// The result of a race: all loops have responded, or the timeout has expired.
    private final class Outcome: Sendable {
        private struct State {
            var missing: Int
            var value: Bool?
            var waiter: CheckedContinuation<Bool, Never>?
        }

        private let state: Mutex<State>

        init(waitingFor count: Int) { state = Mutex(State(missing: count)) }

        func answered() {
            let isLast = state.withLock { state in
                state.missing -= 1
                return state.missing == 0
            }
            if isLast { end(true) }
        }

        func end(_ value: Bool) {
            let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
                guard state.value == nil else { return nil }
                state.value = value
                return state.waiter.take()
            }
            waiter?.resume(returning: value)
        }

        var value: Bool {
            get async {
                await withCheckedContinuation { continuation in
                    let known = state.withLock { state -> Bool? in
                        if state.value == nil { state.waiter = continuation }
                        return state.value
                    }
                    if let known { continuation.resume(returning: known) }
                }
            }
        }
    }
}
