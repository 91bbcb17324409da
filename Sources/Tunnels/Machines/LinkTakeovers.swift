import NIOCore

/// Decides which link of a machine is used if two links have the same key: the newer one, unless two machines with the
/// same key keep replacing each other.
struct LinkTakeovers {
    /// The maximum number of replacements within ``window`` that a machine with a bad network may cause.
    private static let limit = 5
    private static let window = TimeAmount.seconds(60)
    /// How long both are then held back.
    private static let holdTime = TimeAmount.seconds(60)

    private struct History {
        /// The runs of the agent that replaced another, oldest first: at most ``limit`` plus one.
        var replacements: [(at: NIODeadline, instance: String, before: String)] = []
        var heldUntil: NIODeadline?
    }

    private var histories: [String: History] = [:]

    enum Decision: Equatable {
        case takeOver
        /// No link is admitted for this time.
        case hold(TimeAmount)
        /// The same, and the owner must be notified now.
        case holdAndTell(TimeAmount)
    }

    /// Whether a machine is held back.
    func hold(of machine: String, now: NIODeadline) -> TimeAmount? {
        guard let until = histories[machine]?.heldUntil, until > now else { return nil }
        return until - now
    }

    /// A link of a machine arrives while another link of it is open.
    /// - Parameters:
    ///   - instance: the agent's run behind the new link.
    ///   - before: the agent's run behind the old link.
    mutating func replace(machine: String, instance: String, before: String, now: NIODeadline) -> Decision {
        if let hold = hold(of: machine, now: now) { return .hold(hold) }
        var history = histories[machine] ?? History()
        history.heldUntil = nil
        history.replacements.removeAll { $0.at + Self.window < now }
        history.replacements.append((now, instance, before))
        if history.replacements.count > Self.limit + 1 { history.replacements.removeFirst() }
        // One agent never reconnects as an earlier run of itself. Two agents that alternate do. The address is less
        // reliable: both may have the same one.
        let isTwo = history.replacements.contains { one in
            history.replacements.contains { $0.instance == one.before && $0.before == one.instance && $0.at >= one.at }
                && one.instance != one.before
        }
        guard history.replacements.count > Self.limit, isTwo else {
            histories[machine] = history
            return .takeOver
        }
        history.heldUntil = now + Self.holdTime
        history.replacements = []
        histories[machine] = history
        return .holdAndTell(Self.holdTime)
    }

    /// Removes entries that have expired.
    mutating func clearAway(now: NIODeadline) {
        histories = histories.filter { _, history in
            history.heldUntil.map { $0 > now } == true || history.replacements.contains { $0.at + Self.window >= now }
        }
    }
}
