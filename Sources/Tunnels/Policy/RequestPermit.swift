import NIOCore

/// One request's place in the policies that count requests. Ended once, whatever happens to the request.
final class RequestPermit {
    private var gates: [PolicyGate]

    init(_ gates: [PolicyGate]) { self.gates = gates }

    /// - Returns: nil if every policy lets the request through.
    func begin(now: NIODeadline) -> EdgeAnswer? {
        for (index, gate) in gates.enumerated() {
            guard let refusal = gate.begin(now: now) else { continue }
            for earlier in gates[..<index] { earlier.ended(failed: nil, now: now) }
            gates = []
            return refusal
        }
        return nil
    }

    /// Passes the place to another owner.
    func moved() -> RequestPermit {
        defer { gates = [] }
        return RequestPermit(gates)
    }

    /// - Parameter failed: whether the service failed; nil if the request says nothing about it.
    func end(failed: Bool?) {
        let counted = gates
        gates = []
        for gate in counted { gate.ended(failed: failed, now: .now()) }
    }
}
