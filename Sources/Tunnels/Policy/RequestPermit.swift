import NIOCore

/// One request's place in the policies that count requests. Ended once, whatever happens to the request.
final class RequestPermit {
    private var gates: [PolicyGate]
    private var isSettled = false

    init(_ gates: [PolicyGate]) { self.gates = gates }

    /// - Returns: nil if every policy lets the request through.
    func begin(now: NIODeadline) -> EdgeAnswer? {
        for (index, gate) in gates.enumerated() {
            guard let refusal = gate.begin(now: now) else { continue }
            for earlier in gates[..<index] {
                earlier.settled(failed: nil, now: now)
                earlier.ended()
            }
            gates = []
            return refusal
        }
        return nil
    }

    /// Passes the place to another owner.
    func moved() -> RequestPermit {
        let other = RequestPermit(gates)
        other.isSettled = isSettled
        gates = []
        return other
    }

    /// The answer has begun: its status says how the service is, whatever happens to the rest.
    func settle(failed: Bool) {
        guard !isSettled else { return }
        isSettled = true
        for gate in gates { gate.settled(failed: failed, now: .now()) }
    }

    /// - Parameter failed: whether the service failed, if it has not answered; nil if the request says nothing about it.
    func end(failed: Bool? = nil) {
        let counted = gates
        gates = []
        for gate in counted {
            if !isSettled { gate.settled(failed: failed, now: .now()) }
            gate.ended()
        }
    }
}
