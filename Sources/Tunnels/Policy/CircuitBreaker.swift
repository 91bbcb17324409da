import NIOCore

/// Refuses requests for a while after the service has failed several times in a row. Then one request is let through,
/// and its result decides. A pure state machine.
struct CircuitBreaker {
    private enum State {
        case closed(failures: Int)
        case open(until: NIODeadline)
        /// One request is under way to find out whether the service works again.
        case probing
    }

    private let failures: Int
    private let pause: TimeAmount
    private var state = State.closed(failures: 0)

    /// - Parameters:
    ///   - failures: the number of failures in a row that opens the breaker.
    ///   - pause: how long it stays open.
    init(failures: Int, pause: TimeAmount) {
        self.failures = failures
        self.pause = pause
    }

    /// - Returns: nil if the request may continue; otherwise the whole seconds to wait.
    mutating func begin(now: NIODeadline) -> Int? {
        switch state {
        case .closed: return nil
        case .probing: return 1
        case .open(let until):
            guard now >= until else { return max(1, Int(((until - now).nanoseconds + 999_999_999) / 1_000_000_000)) }
            state = .probing
            return nil
        }
    }

    /// A request that was let through has ended.
    /// - Parameter failed: nil if the request says nothing about the service: the visitor has gone.
    mutating func ended(failed: Bool?, now: NIODeadline) {
        switch (state, failed) {
        case (.closed, false): state = .closed(failures: 0)
        case (.closed(let count), true):
            state = count + 1 >= failures ? .open(until: now + pause) : .closed(failures: count + 1)
        case (.probing, false): state = .closed(failures: 0)
        // The next request tries again.
        case (.probing, nil): state = .open(until: now)
        case (.probing, true): state = .open(until: now + pause)
        case (.closed, nil), (.open, _): break
        }
    }
}
