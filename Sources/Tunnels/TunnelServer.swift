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

/// The edge: the machines' links, the tunnels they serve, and their visitors. It uses no tables and no accounts.
public final class TunnelServer: Sendable {
    struct State {
        /// By name.
        var names: [String: TunnelHandle] = [:]
        var tunnels: [String: TunnelHandle] = [:]
        /// The names of tunnels that are not served at the moment.
        var known: [String: KnownTunnel] = [:]
        /// The host names of organisations, each with its tunnel.
        var domains: [String: DomainTarget] = [:]
        /// By the link's id.
        var links: [String: LinkHandle] = [:]
        /// By the machine's id.
        var machines: [String: LiveMachine] = [:]
        var takeovers = LinkTakeovers()
        /// The stored policies by the tunnel's id, and by the domain's id. A name may have rows of several organisations.
        var tunnelPolicies: [String: CompiledPolicy] = [:]
        var domainPolicies: [String: CompiledPolicy] = [:]
        var isStopping = false
    }

    /// A link, as all threads may use it.
    struct LinkHandle: Sendable {
        let id: String
        let loop: any EventLoop
        let address: String
        let connection: NIOLoopBound<LinkConnection>
        let session: any LinkSession
    }

    public let configuration: TunnelConfiguration
    /// Notified when tunnels and machines start or end.
    public let changes: ChangeFeed
    let authority: any TunnelAuthority
    let metrics: TunnelMetrics
    let counters: KeptCounters
    let group: any EventLoopGroup
    let background: BackgroundWork
    let budget: CreditBudget
    let log: TunnelLog
    let proxies: TrustedProxies
    /// The number of connections by address, including those to ports.
    let connections: ConnectionCounter
    let state = Mutex(State())
    let members = MemberSessions()
    let identities = MemberIdentities()
    /// The port of the HTTPS listener.
    private let httpsPort = Atomic<Int>(443)
    private let budgets = Mutex<[String: CreditBudget]>([:])

    /// - Parameters:
    ///   - counters: where tunnels count their traffic.
    ///   - background: stores the totals after a tunnel has ended.
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

    /// Sets the HTTPS listener's port, for the addresses of tunnels.
    public func listens(onHTTPS port: Int) { httpsPort.store(port, ordering: .relaxed) }

    /// The port in addresses of names, such as `:8443`; empty for the standard port.
    var portSuffix: String {
        let port = configuration.publicPort ?? httpsPort.load(ordering: .relaxed)
        return port == 443 ? "" : ":\(port)"
    }

    /// The address that people open.
    public func url(name: String?, port: Int?, isHTTP: Bool) -> String {
        configuration.url(name: name, port: port, isHTTP: isHTTP, standardPort: httpsPort.load(ordering: .relaxed))
    }

    /// The memory budget for all links of an organisation. Kept for as long as the server runs.
    func budget(of organisation: String) -> CreditBudget {
        budgets.withLock { budgets in
            if let known = budgets[organisation] { return known }
            let made = CreditBudget(limit: configuration.memoryBytes / 2, within: budget)
            budgets[organisation] = made
            return made
        }
    }

    /// The protocols that are chosen by the TLS client hello.
    /// - Parameters:
    ///   - link: the TLS settings for the server's end of links.
    ///   - tls: the TLS settings for visitors.
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
        /// A page of the edge itself.
        case page(ByteBuffer)
        /// With the stored policies for the host.
        case tunnel(TunnelHandle, [CompiledPolicy])
    }

    /// Decides where a request goes. Uses the request's own host, not the connection's TLS name.
    func route(_ head: RequestHead) -> Route {
        guard let host = head.host else { return .answer(.badHost) }
        guard head.method != "CONNECT", head.method != "TRACE" else { return .answer(.method) }
        guard let place = place(of: host) else { return .answer(.misdirected) }
        let name = place.tunnelName
        if head.target == EdgePage.abusePath {
            return .page(
                EdgeAnswer.message(
                    200, type: "text/html; charset=utf-8", body: EdgePage.abuse(configuration, host: host), headers: "",
                    isHead: head.method == "HEAD", closes: !head.keepsAlive || head.body != .none))
        }
        let (live, known, policies) = state.withLock { state in
            let live = state.names[name]
            return (live, state.known[name], live.map { Self.policies($0.grant.id, host, state) } ?? [])
        }
        // The tunnel was removed, and another organisation may use its name now.
        if let id = place.tunnelId, (live?.grant.id ?? known?.id) != id { return .answer(.unknown) }
        if known?.isPaused == true { return .answer(.paused) }
        guard let live else { return .answer(known.map { .offline(lastSeen: $0.lastSeen?.readable) } ?? .unknown) }
        // The machine terminates TLS itself, but this connection's TLS was terminated here.
        guard live.grant.kind == .http else { return .answer(.misdirected) }
        return .tunnel(live, policies)
    }

    private static func policies(_ tunnel: String, _ host: String, _ state: borrowing State) -> [CompiledPolicy] {
        guard !state.tunnelPolicies.isEmpty || !state.domainPolicies.isEmpty else { return [] }
        let domain = state.domains[host].flatMap { state.domainPolicies[$0.domainId] }
        return [state.tunnelPolicies[tunnel], domain].compactMap { $0 }
    }

    /// The stored policies for connections that are passed on unread.
    func policies(tunnel: String, host: String) -> [CompiledPolicy] {
        state.withLock { Self.policies(tunnel, host, $0) }
    }

    /// Whether two hosts are served with the same certificate: names below the tunnel domain share its wildcard, and each
    /// domain has its own.
    func hasOneCertificate(_ one: String, _ other: String) -> Bool {
        one == other || (configuration.name(in: one) != nil && configuration.name(in: other) != nil)
    }

    /// Whether the host belongs to a tunnel.
    public func isTunnels(_ host: String) -> Bool { place(of: host) != nil }

    /// The tunnel of a host. Its id is nil for a name below the tunnel domain, which any tunnel with that name serves.
    func place(of host: String) -> (tunnelName: String, tunnelId: String?)? {
        if let name = configuration.name(in: host) { return (name, nil) }
        return state.withLock { $0.domains[host] }.map { ($0.tunnelName, $0.tunnelId) }
    }

    /// The tunnel that serves a host now.
    func live(host: String) -> TunnelHandle? {
        guard let place = place(of: host), let live = state.withLock({ $0.names[place.tunnelName] }),
            place.tunnelId.map({ $0 == live.grant.id }) ?? true
        else { return nil }
        return live
    }

    // MARK: Changes by Operations

    /// Names stay known while their machine is away.
    public func know(_ name: String, _ tunnel: KnownTunnel) {
        state.withLock { $0.known[name] = tunnel }
    }

    /// Replaces all known hosts with these. The hosts are in lower case. Connections to tunnels that lose a host end.
    public func route(domains: [String: DomainTarget]) {
        let lost = state.withLock { state in
            let old = state.domains
            state.domains = domains
            let tunnels = Set(old.filter { domains[$0.key] != $0.value }.map(\.value.tunnelId))
            return tunnels.compactMap { id in state.tunnels[id].map { ($0, Self.numbers(id, state)) } }
        }
        for (handle, numbers) in lost { handle.loop.execute { handle.live.value.policyChanged(keeping: numbers) } }
    }

    /// The versions of all policies that apply to a tunnel, under any of its hosts.
    static func numbers(_ tunnel: String, _ state: borrowing State) -> Set<Int> {
        var numbers: Set<Int> = []
        if let own = state.tunnelPolicies[tunnel] { numbers.insert(own.number) }
        for target in state.domains.values where target.tunnelId == tunnel {
            if let policy = state.domainPolicies[target.domainId] { numbers.insert(policy.number) }
        }
        return numbers
    }

    public func forget(name: String) { state.withLock { $0.known[name] = nil } }

    /// The tunnels that are served now, by their ids.
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

    /// Ends a tunnel that is served now: its visitors' connections are closed, and its command gets the reason.
    /// - Returns: whether it was served.
    @discardableResult
    public func end(id: String, reason: String) -> Bool {
        guard let handle = state.withLock({ $0.tunnels[id] }) else { return false }
        handle.loop.execute { handle.connection.value.end(tunnel: id, reason: reason) }
        return true
    }

    /// Admits visitors of a tunnel or refuses them from now on. If it is paused, existing connections are closed.
    public func setPaused(id: String, name: String?, _ isPaused: Bool) {
        let handle = state.withLock { state in
            if let name { state.known[name]?.isPaused = isPaused }
            return state.tunnels[id]
        }
        guard let handle else { return }
        handle.loop.execute { handle.live.value.setPaused(isPaused) }
        changes.changed(.tunnels, in: handle.grant.organisationId)
    }

    /// Ends the links that are no longer admitted, and the sign-ins of members on private tunnels.
    public func revoke(_ revoked: RevokedLinks) async {
        endMembers { member in
            switch revoked {
            case .credential(let id): member.credentialId == id
            case .user(let id): member.userId == id
            // The role may have changed only. The browser fetches a new session without asking if it is still a member.
            case .member(let organisation, let user): member.organisationId == organisation && member.userId == user
            }
        }
        let links = state.withLock { $0.links.values.filter { Self.isMeant($0.session, by: revoked) } }
        for link in links {
            // The member's role may have changed in a way that does not affect links.
            if case .member = revoked, await link.session.isStillGood() { continue }
            cut(link, "Your access was revoked; sign in again with 'postern login'.")
        }
    }

    /// Closes links whose owners may no longer have them. Called from time to time, for changes without a revocation.
    public func cutForgotten() async {
        forgetTakeovers()
        await cut(state.withLock { Array($0.links.values) })
    }

    /// The same for one organisation, after a change there.
    public func cutForgotten(of organisation: String) async {
        await cut(state.withLock { $0.links.values.filter { $0.session.organisationId == organisation } })
    }

    private func cut(_ links: [LinkHandle]) async {
        for link in links where await !link.session.isStillGood() {
            cut(link, "You are no longer allowed to open tunnels here; ask an admin of your organisation.")
        }
    }

    /// - Parameter person: the message for a person's command.
    private func cut(_ link: LinkHandle, _ person: String) {
        let name = (link.session as? any MachineSession)?.machineName
        let sentence = name.map {
            "\($0) is no longer allowed to connect: it was revoked, or the account that enrolled it has lost its access."
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

    /// Tells every machine to reconnect, and accepts no more links.
    /// - Parameter milliseconds: the delay before machines should reconnect.
    public func goAway(reconnectIn milliseconds: Int) {
        let links = state.withLock { state in
            state.isStopping = true
            return Array(state.links.values)
        }
        for link in links {
            link.loop.execute { link.connection.value.drain(reconnectIn: milliseconds) }
        }
    }

    // MARK: Link events

    func remove(link: String) { state.withLock { $0.links[link] = nil } }

    /// - Returns: nil if the server is stopping.
    func add(_ link: LinkHandle) -> Bool {
        state.withLock { state in
            guard !state.isStopping else { return false }
            state.links[link.id] = link
            return true
        }
    }

    enum Start {
        case started
        /// Served by another command.
        case isServed(since: Timestamp, from: String)
        /// The same command's previous link. It is dead and has not noticed it yet.
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
            // A machine's newer link replaces its older one.
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

    /// This link no longer serves a tunnel.
    func ended(_ grant: TunnelGrant, by link: String, isForgotten: Bool) {
        defer { changes.changed(.tunnels, in: grant.organisationId) }
        state.withLock { state in
            guard state.tunnels[grant.id]?.link == link else { return }
            state.tunnels[grant.id] = nil
            // The name may belong to another tunnel by now.
            guard let name = grant.name, state.names[name]?.grant.id == grant.id else { return }
            state.names[name] = nil
            guard state.known[name]?.id == grant.id else { return }
            if isForgotten { state.known[name] = nil } else { state.known[name]?.lastSeen = .now() }
        }
    }
}

/// The tunnel that an organisation's host name leads to.
public struct DomainTarget: Sendable, Equatable {
    let domainId: String
    let tunnelName: String
    let tunnelId: String

    public init(domainId: String, tunnelName: String, tunnelId: String) {
        self.domainId = domainId
        self.tunnelName = tunnelName
        self.tunnelId = tunnelId
    }
}
