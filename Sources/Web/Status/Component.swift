/// One part of the server as the status page, `/ready` and `doctor` see it.
struct Component: Sendable, Encodable {
    enum State: String, Sendable, Encodable, Comparable {
        case ok, warning
        /// It works, and will not for long.
        case alarm
        case failed

        static func < (left: State, right: State) -> Bool { left.rank < right.rank }
        private var rank: Int { [.ok, .warning, .alarm, .failed].firstIndex(of: self) ?? 0 }
    }

    /// `database`, `relay`, `certificate`, `disk`, `backups`.
    let name: String
    let state: State
    /// One sentence for a person; where something is wrong it names the remedy.
    let text: String

    init(_ name: String, _ state: State, _ text: String) {
        self.name = name
        self.state = state
        self.text = text
    }

    private enum CodingKeys: String, CodingKey { case name, state, text }
}

/// All parts at one moment.
struct StatusReport: Sendable {
    let components: [Component]
    let checkedAt: ContinuousClock.Instant

    var worst: Component.State { components.map(\.state).max() ?? .ok }

    /// Whether requests can be served: warnings and alarms are things to do, no outage.
    var isReady: Bool { worst != .failed }
}
