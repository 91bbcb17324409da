import NIOCore
public import Operations
public import Relay
public import Sockets
public import Tunnels

/// The settings of the web server. Each limit has its unit and its reason.
public struct WebConfiguration: Sendable {
    public var listeners: [ListenerConfiguration]
    /// Tells browsers to use only HTTPS in the future. For certificates that they trust.
    public var hsts = false
    /// Shows the numbers of sessions, people and bytes on the status page to everybody.
    public var publicNumbers = false
    /// How long ended share sessions are kept, in days. 0 keeps them without limit.
    public var historyDays = 400
    /// The public HTTPS port, for redirects. Nil for 443.
    public var redirectPort: Int?
    /// The names of this server: the names in its certificates, without wildcards.
    public var names: [String] = []
    public var relay = RelayConfiguration()
    public var accounts = AccountSettings()
    public var tunnels = TunnelConfiguration(software: "postern")
    public var limits = WebLimits()
    /// The addresses of web servers in front of this one, whose X-Forwarded-For names the clients.
    public var trustedProxies: [String] = []

    /// The maximum size of a JSON body or a form, in bytes. The largest of the API is under 2 KiB.
    static let bodyBytes = 64 << 10
    /// The maximum time from a request's head to the end of its body: 64 KiB over a very bad line.
    static let wholeRequest = TimeAmount.seconds(30)
    /// The delay that clients are told before they reconnect to a server that restarts.
    static let reconnectIn = TimeAmount.seconds(1)

    public init(listeners: [ListenerConfiguration]) { self.listeners = listeners }
}

/// Limits that an owner may change while the server runs.
public struct WebLimits: Sendable {
    /// The maximum number of connections from one address: a household behind one router, or one browser's worth of tabs, times ten.
    public var connectionsPerAddress = 256
    /// Joins per minute, by address and by account: a person joins by hand.
    public var joinsPerMinute = 60
    /// Public code validations and sign-ins per minute and address: enough for typing mistakes, too few to guess a code
    /// (36^6 codes at 30 a minute take 138 years).
    public var publicCallsPerMinute = 30
    /// Whether to log clients' network addresses.
    public var logAddresses = false

    public init() {}
}
