/// The state of one part of the server, for the status page, `/ready` and `doctor`.
struct Component: Sendable, Encodable {
    enum State: String, Sendable, Encodable, Comparable {
        case ok, warning
        /// It works, but will fail soon.
        case alarm
        case failed

        static func < (left: State, right: State) -> Bool { left.rank < right.rank }
        private var rank: Int { [.ok, .warning, .alarm, .failed].firstIndex(of: self) ?? 0 }
    }

    /// `database`, `relay`, `certificate`, `disk`, `backups`.
    let name: String
    let state: State
    /// One sentence for a person. If something is wrong, it names the remedy.
    let text: String

    init(_ name: String, _ state: State, _ text: String) {
        self.name = name
        self.state = state
        self.text = text
    }

    private enum CodingKeys: String, CodingKey { case name, state, text }
}

/// The state of all parts at one time.
struct StatusReport: Sendable {
    let components: [Component]
    let checkedAt: ContinuousClock.Instant

    var worst: Component.State { components.map(\.state).max() ?? .ok }

    /// Whether requests can be served. Warnings and alarms require action, but are not an outage.
    var isReady: Bool { worst != .failed }
}
