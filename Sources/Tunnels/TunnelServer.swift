public import Background
import HTTP1
public import Limits
import Link
public import Logging
public import Model
public import NIOCore
public import Sockets
import Synchronization
public import Telemetry
public import TransportSecurity

/// The edge: links of machines, the tunnels that they serve, and their visitors. It knows no table and no account.
public final class TunnelServer: Sendable {
    struct State {
        /// By name.
        var names: [String: TunnelHandle] = [:]
        var tunnels: [String: TunnelHandle] = [:]
        /// Names of tunnels that nobody serves at the moment.
        var known: [String: KnownTunnel] = [:]
        /// By the link's id.
        var links: [String: LinkHandle] = [:]
        /// By the machine's id.
        var machines: [String: LiveMachine] = [:]
        var takeovers = LinkTakeovers()
        var isStopping = false
    }

    /// A link as all threads know it.
    struct LinkHandle: Sendable {
        let id: String
        let loop: any EventLoop
        let address: String
        let connection: NIOLoopBound<LinkConnection>
        let session: any LinkSession
    }

    public let configuration: TunnelConfiguration
    /// Hears of tunnels and machines that come and go.
    public let changes: ChangeFeed
    let authority: any TunnelAuthority
    let metrics: TunnelMetrics
    let counters: KeptCounters
    let group: any EventLoopGroup
    let background: BackgroundWork
    let budget: CreditBudget
    let log: TunnelLog
    let proxies: TrustedProxies
    /// Connections by address, those to ports included.
    let connections: ConnectionCounter
    let state = Mutex(State())
    /// Where HTTPS listens.
    private let httpsPort = Atomic<Int>(443)
    private let budgets = Mutex<[String: CreditBudget]>([:])

    /// - Parameters:
    ///   - counters: where tunnels count what they carry.
    ///   - background: for what is written down after a tunnel has ended.
    public init(
        authority: any TunnelAuthority, configuration: TunnelConfiguration, group: any EventLoopGroup,
        metrics: TunnelMetrics, counters: KeptCounters, background: BackgroundWork,
        proxies: TrustedProxies, connections: ConnectionCounter, changes: ChangeFeed = ChangeFeed(), logger: Logger
    ) {
        self.changes = changes
        self.proxies = proxies
        self.connections = connections
        self.authority = authority
        self.configuration = configuration
        self.group = group
        self.metrics = metrics
        self.counters = counters
        self.background = background
        log = TunnelLog(logger: logger)
        budget = CreditBudget(limit: configuration.memoryBytes)
    }

    /// Where HTTPS turned out to listen, for addresses of tunnels.
    public func listens(onHTTPS port: Int) { httpsPort.store(port, ordering: .relaxed) }

    /// The address that people open.
    public func url(name: String?, port: Int?, isHTTP: Bool) -> String {
        configuration.url(name: name, port: port, isHTTP: isHTTP, standardPort: httpsPort.load(ordering: .relaxed))
    }

    /// What all links of an organisation may hold in memory; kept for as long as the server runs.
    func budget(of organisation: String) -> CreditBudget {
        budgets.withLock { budgets in
            if let known = budgets[organisation] { return known }
            let made = CreditBudget(limit: configuration.memoryBytes / 2, within: budget)
            budgets[organisation] = made
            return made
        }
    }

    /// The ways in that are chosen by the TLS client hello.
    /// - Parameters:
    ///   - link: TLS of the server's end of links.
    ///   - tls: TLS of visitors.
    public func entrances(
        link: TLSContext, tls: TLSContext, events: ConnectionEvents
    ) -> [any ClientHelloProtocol] {
        [
            LinkEntrance(server: self, tls: link, events: events),
            NameEntrance(server: self, tls: tls, events: events),
        ]
    }

    // MARK: Routing

    enum Route {
        case answer(EdgeAnswer)
        /// A page of the edge's own.
        case page(ByteBuffer)
        case tunnel(TunnelHandle)
    }

    /// Where a request goes: decided by its own host, whatever the connection's TLS name was.
    func route(_ head: RequestHead) -> Route {
        guard let host = head.host else { return .answer(.badHost) }
        guard head.method != "CONNECT", head.method != "TRACE" else { return .answer(.method) }
        guard let name = configuration.name(in: host) else { return .answer(.misdirected) }
        if head.target == EdgePage.abusePath {
            return .page(
                EdgeAnswer.message(
                    200, type: "text/html; charset=utf-8", body: EdgePage.abuse(configuration, host: host), headers: "",
                    isHead: head.method == "HEAD", closes: !head.keepsAlive || head.body != .none))
        }
        let (live, known) = state.withLock { ($0.names[name], $0.known[name]) }
        if known?.isPaused == true { return .answer(.paused) }
        guard let live else { return .answer(known.map { .offline(lastSeen: $0.lastSeen?.readable) } ?? .unknown) }
        // The machine ends TLS itself; this connection's was ended here.
        guard live.grant.kind == .http else { return .answer(.misdirected) }
        return .tunnel(live)
    }

    func live(name: String) -> TunnelHandle? { state.withLock { $0.names[name] } }

    // MARK: What Operations says

    /// Names exist while their machine is away.
    public func know(_ name: String, _ tunnel: KnownTunnel) {
        state.withLock { $0.known[name] = tunnel }
    }

    public func forget(name: String) { state.withLock { $0.known[name] = nil } }

    /// What is served now, by the tunnels' ids.
    public func statuses() async -> [String: TunnelStatus] {
        let handles = state.withLock { Array($0.tunnels.values) }
        var found: [String: TunnelStatus] = [:]
        for handle in handles {
            let status = try? await handle.loop.submit { () -> TunnelStatus? in
                let live = handle.live.value
                guard let totals = live.totals else { return nil }
                return TunnelStatus(
                    connections: live.connectionCount, totals: totals, since: handle.since, from: handle.from,
                    roundTripMilliseconds: live.link.engine.roundTrip.map { Double($0.nanoseconds) / 1_000_000 })
            }.get()
            if let status = status ?? nil { found[handle.grant.id] = status }
        }
        return found
    }

    public func isServed(_ id: String) -> Bool { state.withLock { $0.tunnels[id] != nil } }

    public var liveIds: [String] { state.withLock { Array($0.tunnels.keys) } }

    /// Ends a tunnel that is served now: its visitors' connections close, and its command is told why.
    /// - Returns: whether it was served.
    @discardableResult
    public func end(id: String, reason: String) -> Bool {
        guard let handle = state.withLock({ $0.tunnels[id] }) else { return false }
        handle.loop.execute { handle.connection.value.end(tunnel: id, reason: reason) }
        return true
    }

    /// Lets visitors of a tunnel in, or not, from now on; those who are in are cut off.
    public func setPaused(id: String, name: String?, _ isPaused: Bool) {
        let handle = state.withLock { state in
            if let name { state.known[name]?.isPaused = isPaused }
            return state.tunnels[id]
        }
        guard let handle else { return }
        handle.loop.execute { handle.live.value.setPaused(isPaused) }
        changes.changed(.tunnels, in: handle.grant.organisationId)
    }

    /// Ends the links of those who are let in no more.
    public func revoke(_ revoked: RevokedLinks) async {
        let links = state.withLock { $0.links.values.filter { Self.isMeant($0.session, by: revoked) } }
        for link in links {
            // A role may have lost something that has nothing to do with links.
            if case .member = revoked, await link.session.isStillGood() { continue }
            cut(link, "Your access was taken back; sign in again with 'postern login'.")
        }
    }

    /// Cuts links whose people may not have them any more: looked at now and then, for what no revocation says.
    public func cutForgotten() async {
        forgetTakeovers()
        await cut(state.withLock { Array($0.links.values) })
    }

    /// The same for one organisation, after something has changed there.
    public func cutForgotten(of organisation: String) async {
        await cut(state.withLock { $0.links.values.filter { $0.session.organisationId == organisation } })
    }

    private func cut(_ links: [LinkHandle]) async {
        for link in links where await !link.session.isStillGood() {
            cut(link, "You may not open tunnels here any more; ask an admin of your organisation.")
        }
    }

    /// - Parameter person: what a person's command is told.
    private func cut(_ link: LinkHandle, _ person: String) {
        let name = (link.session as? any MachineSession)?.machineName
        let sentence = name.map {
            "\($0) may not connect any more: it was revoked, or the account that enrolled it has lost its access."
        }
        link.loop.execute { link.connection.value.cut(LinkError(.unauthorized, sentence ?? person)) }
    }

    private static func isMeant(_ session: any LinkSession, by revoked: RevokedLinks) -> Bool {
        switch revoked {
        case .credential(let id): session.credentialId == id
        case .user(let id): session.userId == id
        case .member(let organisation, let user): session.organisationId == organisation && session.userId == user
        }
    }

    /// Tells every machine to come back, and takes no more links.
    /// - Parameter milliseconds: until it is worth coming back.
    public func goAway(reconnectIn milliseconds: Int) {
        let links = state.withLock { state in
            state.isStopping = true
            return Array(state.links.values)
        }
        for link in links {
            link.loop.execute { link.connection.value.drain(reconnectIn: milliseconds) }
        }
    }

    // MARK: What links say

    func remove(link: String) { state.withLock { $0.links[link] = nil } }

    /// - Returns: nil where the server is stopping.
    func add(_ link: LinkHandle) -> Bool {
        state.withLock { state in
            guard !state.isStopping else { return false }
            state.links[link.id] = link
            return true
        }
    }

    enum Start {
        case started
        /// By another command.
        case isServed(since: Timestamp, from: String)
        /// The same command's link before this one, which is dead and does not know it yet.
        case replaces(TunnelHandle)
    }

    func start(_ handle: TunnelHandle) -> Start {
        let start = enter(handle)
        if case .isServed = start { return start }
        changes.changed(.tunnels, in: handle.grant.organisationId)
        return start
    }

    private func enter(_ handle: TunnelHandle) -> Start {
        state.withLock { state in
            let before = state.tunnels[handle.grant.id]
            // A machine's newer link stands in the place of its older one.
            let isSameMachine = before?.machineId != nil && before?.machineId == handle.machineId
            if let before, before.instance != handle.instance, !isSameMachine {
                return .isServed(since: before.since, from: before.from)
            }
            state.tunnels[handle.grant.id] = handle
            if let name = handle.grant.name {
                state.names[name] = handle
                if state.known[name] == nil {
                    state.known[name] = KnownTunnel(id: handle.grant.id, lastSeen: nil, isPaused: false)
                }
            }
            return before.map { .replaces($0) } ?? .started
        }
    }

    /// A tunnel is served no more by this link.
    func ended(_ grant: TunnelGrant, by link: String, isForgotten: Bool) {
        defer { changes.changed(.tunnels, in: grant.organisationId) }
        state.withLock { state in
            guard state.tunnels[grant.id]?.link == link else { return }
            state.tunnels[grant.id] = nil
            // The name may be somebody else's by now.
            guard let name = grant.name, state.names[name]?.grant.id == grant.id else { return }
            state.names[name] = nil
            guard state.known[name]?.id == grant.id else { return }
            if isForgotten { state.known[name] = nil } else { state.known[name]?.lastSeen = .now() }
        }
    }
}
