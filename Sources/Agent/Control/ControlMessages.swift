public import Model

/// A request of the command line to the agent of this machine: one line of JSON in each direction, over a socket that
/// only its owner and root can open.
public struct ControlRequest: Codable, Sendable {
    public enum Verb: String, Codable, Sendable {
        case status
        /// Shows what applying `agent.yml` would change.
        case diff
        /// Serves the tunnels of `agent.yml`, and releases those that it no longer lists.
        case apply
        /// Creates a new key for this machine.
        case rekey
    }

    public var verb: Verb

    public init(_ verb: Verb) { self.verb = verb }
}

/// A tunnel as the agent sees it.
public struct ServedTunnel: Codable, Sendable, Equatable {
    public var label: String
    public var kind: TunnelKind
    /// The service that the tunnel leads to.
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
    /// When the current link was opened, in ISO 8601.
    public var since: String?
    /// The path of the link: `tls` or `websocket`.
    public var way: String?
    /// Why there is no link, or why the server could not be asked.
    public var reason: String?
    /// Mistakes in `agent.yml` at the start, and tunnels that `apply` could not release.
    public var problems: [String]?
    public var roundTripMilliseconds: Double?
    public var tunnels: [ServedTunnel]?
    public var differences: [TunnelDifference]?

    init() {}

    init(error: String) { self.error = error }
}
