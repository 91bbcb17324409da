import NIOCore

/// Which link of a machine counts when there are two of one key: the newer one, unless two machines with the same key throw each other out.
struct LinkTakeovers {
    /// Replacements within ``window`` that a machine with a bad network may cause.
    private static let limit = 5
    private static let window = TimeAmount.seconds(60)
    /// How long both are held back then.
    private static let holdTime = TimeAmount.seconds(60)

    private struct History {
        /// The runs of the agent that replaced another, oldest first: at most ``limit`` and one more.
        var replacements: [(at: NIODeadline, instance: String, before: String)] = []
        var heldUntil: NIODeadline?
    }

    private var histories: [String: History] = [:]

    enum Decision: Equatable {
        case takeOver
        /// Nobody is let in for so long.
        case hold(TimeAmount)
        /// The same, and the owner is to be told now.
        case holdAndTell(TimeAmount)
    }

    /// Whether a machine is held back.
    func hold(of machine: String, now: NIODeadline) -> TimeAmount? {
        guard let until = histories[machine]?.heldUntil, until > now else { return nil }
        return until - now
    }

    /// A link of a machine comes while another one of it is open.
    /// - Parameters:
    ///   - instance: the run of the agent behind the new link.
    ///   - before: the one behind the old link.
    mutating func replace(machine: String, instance: String, before: String, now: NIODeadline) -> Decision {
        if let hold = hold(of: machine, now: now) { return .hold(hold) }
        var history = histories[machine] ?? History()
        history.heldUntil = nil
        history.replacements.removeAll { $0.at + Self.window < now }
        history.replacements.append((now, instance, before))
        if history.replacements.count > Self.limit + 1 { history.replacements.removeFirst() }
        // One agent never comes back as the run that it was before; two that take turns do. An address says less: both may be behind one.
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

    /// Forgets what is over.
    mutating func clearAway(now: NIODeadline) {
        histories = histories.filter { _, history in
            history.heldUntil.map { $0 > now } == true || history.replacements.contains { $0.at + Self.window >= now }
        }
    }
}
