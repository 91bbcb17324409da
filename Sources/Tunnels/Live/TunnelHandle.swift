import NIOCore
public import Model

/// A live tunnel, as all threads may use it.
public struct TunnelHandle: Sendable {
    let grant: TunnelGrant
    /// The event loop of the machine's link. All other state of the tunnel belongs to it.
    let loop: any EventLoop
    let live: NIOLoopBound<LiveTunnel>
    /// The link that serves it.
    let connection: NIOLoopBound<LinkConnection>
    /// The link's id.
    let link: String
    /// The command behind the link. A command that reconnects may take over its tunnels.
    let instance: String
    /// The enrolled machine behind it. Nil for a command.
    let machineId: String?
    let since: Timestamp
    /// The command's address.
    let from: String
}

/// A name or a port whose machine may be away.
public struct KnownTunnel: Sendable, Equatable {
    public let id: String
    public var lastSeen: Timestamp?
    public var isPaused: Bool

    public init(id: String, lastSeen: Timestamp?, isPaused: Bool) {
        self.id = id
        self.lastSeen = lastSeen
        self.isPaused = isPaused
    }
}

/// The edge's information about a tunnel that is served now.
public struct TunnelStatus: Sendable {
    public let connections: Int
    public let totals: TunnelTotals
    /// When this link started to serve it.
    public let since: Timestamp
    public let from: String
    /// The round trip of the link.
    public let roundTripMilliseconds: Double?
}
