import NIOCore
public import Operations
public import Relay
public import Sockets
public import Tunnels

/// What the web server can be told; each bound with its unit and its reason.
public struct WebConfiguration: Sendable {
    public var listeners: [ListenerConfiguration]
    /// Tell browsers to come back by HTTPS only: for certificates that they trust.
    public var hsts = false
    /// Show counts of sessions, people and bytes on the status page to everybody.
    public var publicNumbers = false
    /// How long ended share sessions are kept, in days; 0 for ever.
    public var historyDays = 400
    /// The port people reach HTTPS on, for redirects; nil for 443.
    public var redirectPort: Int?
    /// What people call this server: the names of its certificates, without wildcards.
    public var names: [String] = []
    public var relay = RelayConfiguration()
    public var accounts = AccountSettings()
    public var tunnels = TunnelConfiguration(software: "postern")
    public var limits = WebLimits()
    /// Web servers in front of this one, by address: who their requests come from stands in X-Forwarded-For.
    public var trustedProxies: [String] = []

    /// A JSON body or a form, in bytes: the largest the API knows is under 2 KiB.
    static let bodyBytes = 64 << 10
    /// From a request's head to the end of its body: 64 KiB over a very bad line.
    static let wholeRequest = TimeAmount.seconds(30)
    /// What clients are told to wait before they come back to a server that restarts.
    static let reconnectIn = TimeAmount.seconds(1)

    public init(listeners: [ListenerConfiguration]) { self.listeners = listeners }
}

/// What an owner may change while the server runs.
public struct WebLimits: Sendable {
    /// Connections at once from one address: a household behind one router, or one browser's worth of tabs, times ten.
    public var connectionsPerAddress = 256
    /// Joins per minute, by address and by account: a person joins by hand.
    public var joinsPerMinute = 60
    /// Public code validations and sign-ins per minute and address: enough to mistype, too few to guess
    /// (36^6 codes at 30 a minute take 138 years).
    public var publicCallsPerMinute = 30
    /// Put clients' network addresses into the log.
    public var logAddresses = false

    public init() {}
}
