import NIOCore
import Synchronization

/// Asks every event loop whether it answers.
struct LoopProbe: Sendable {
    private let loops: [any EventLoop]

    init(_ group: any EventLoopGroup) { loops = Array(group.makeIterator()) }

    /// - Returns: false where one did not answer in time. Does not wait for it any longer.
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

    /// The first of two things that happen: all have answered, or the time is over.
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
