import NIOCore
public import Model

/// A live tunnel as all threads know it.
public struct TunnelHandle: Sendable {
    let grant: TunnelGrant
    /// Where the machine's link is, and everything else of the tunnel.
    let loop: any EventLoop
    let live: NIOLoopBound<LiveTunnel>
    /// The link that serves it.
    let connection: NIOLoopBound<LinkConnection>
    /// The link's id.
    let link: String
    /// The command behind the link: one that comes back may take its tunnels over.
    let instance: String
    /// The enrolled machine behind it; nil for a command.
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

/// What the edge knows of a tunnel that is served now.
public struct TunnelStatus: Sendable {
    public let connections: Int
    public let totals: TunnelTotals
    /// Since when this link has served it.
    public let since: Timestamp
    public let from: String
    /// Of the link.
    public let roundTripMilliseconds: Double?
}
