public import Model

/// What the command line asks the agent of this machine: one line of JSON each way, over a socket that only its owner and root can open.
public struct ControlRequest: Codable, Sendable {
    public enum Verb: String, Codable, Sendable {
        case status
        /// What applying `agent.yml` would change.
        case diff
        /// Serves what `agent.yml` says, and gives up what it says no more.
        case apply
        /// A new key for this machine.
        case rekey
    }

    public var verb: Verb

    public init(_ verb: Verb) { self.verb = verb }
}

/// A tunnel as the agent sees it.
public struct ServedTunnel: Codable, Sendable, Equatable {
    public var label: String
    public var kind: TunnelKind
    /// What it leads to.
    public var service: String
    public var url: String?
    /// `online`, `waiting`, `failed`, or `stopped` by somebody on the server.
    public var state: String
    public var problem: String?
}

/// A difference between `agent.yml` and what is served.
public struct TunnelDifference: Codable, Sendable, Equatable {
    public enum Change: String, Codable, Sendable { case add, change, remove, none }

    public var label: String
    public var change: Change
    public var before: String?
    public var after: String?
}

/// The agent's answer.
public struct ControlAnswer: Codable, Sendable {
    public var error: String?
    public var machine: String?
    public var id: String?
    public var server: String?
    public var isOnline: Bool?
    /// Since when, in ISO 8601.
    public var since: String?
    /// How the link gets out: `tls` or `websocket`.
    public var way: String?
    /// Why there is no link, or why the server could not be asked.
    public var reason: String?
    /// Mistakes of `agent.yml` at the start, and what `apply` could not give up.
    public var problems: [String]?
    public var roundTripMilliseconds: Double?
    public var tunnels: [ServedTunnel]?
    public var differences: [TunnelDifference]?

    init() {}

    init(error: String) { self.error = error }
}
