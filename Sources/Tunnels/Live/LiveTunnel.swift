import Limits
import Link
import NIOCore
import Telemetry
import Wire

/// A tunnel that a machine serves now. The tunnel and its visitors belong to the event loop of the machine's link.
final class LiveTunnel {
    /// The maximum number of idle connections to the service.
    private static let idleLimit = 64
    /// The maximum number of requests that wait to be reported to the machine's console.
    private static let reportLimit = 256
    private static let reportPause = TimeAmount.milliseconds(100)

    let grant: TunnelGrant
    private(set) var options: TunnelOptions
    /// The policy of the machine's options.
    private(set) var gate: PolicyGate
    /// The stored policies that apply here, by their number.
    private var storedGates: [Int: PolicyGate] = [:]
    /// Connections whose requests are made in a member's name.
    private var memberships: [ObjectIdentifier: EdgeMember] = [:]
    let link: LinkHandler
    let loop: any EventLoop
    let metrics: TunnelMetrics
    private var counters: TunnelCounters?
    /// Connections of visitors. They are closed when the tunnel ends.
    private var visitors: [ObjectIdentifier: any Channel] = [:]
    private var idle: [ServiceStream] = []
    private var idleTimer: Scheduled<Void>?
    private var reports: [TunnelRequest] = []
    private var droppedReports = 0
    private var reportTimer: Scheduled<Void>?
    private(set) var isEnded = false
    private(set) var changeNumber = 0
    private(set) var isPaused = false

    init(
        _ grant: TunnelGrant, options: TunnelOptions, rules: AccessRules, link: LinkHandler, loop: any EventLoop,
        metrics: TunnelMetrics
    ) {
        self.grant = grant
        self.options = options
        gate = PolicyGate(rules)
        self.link = link
        self.loop = loop
        self.metrics = metrics
    }

    /// Applies new options from now on. Requests under way continue. Idle connections to the service are closed: the
    /// machine may use another service from now on.
    /// - Parameter number: an older change that arrives late is dropped.
    func change(_ options: TunnelOptions, _ rules: AccessRules, number: Int) {
        guard number > changeNumber else { return }
        changeNumber = number
        if self.options.policy != options.policy || self.options.path != options.path {
            gate = PolicyGate(rules)
            // Connections that the new rules would refuse do not go on.
            closeVisitors()
        }
        self.options = options
        let unused = idle
        idle = []
        for service in unused { service.end(.cancelled) }
    }

    /// The policies for a request: the machine's, and the stored ones.
    func gates(_ stored: [CompiledPolicy]) -> [PolicyGate] {
        guard !stored.isEmpty else { return [gate] }
        return [gate]
            + stored.map { policy in
                if let known = storedGates[policy.number] { return known }
                let made = PolicyGate(policy.rules)
                storedGates[policy.number] = made
                return made
            }
    }

    /// Whether a connection that is passed on unread may be opened.
    func admits(_ client: ClientAddress, _ stored: [CompiledPolicy]) -> Bool {
        gates(stored).allSatisfy { $0.rules.admits(client) && !$0.rules.needsRequests }
    }

    /// A visitor's connection makes requests in a member's name.
    func note(_ member: EdgeMember?, on channel: any Channel) {
        let id = ObjectIdentifier(channel)
        guard memberships[id] != member else { return }
        memberships[id] = member
    }

    /// Closes the connections of members who may no longer use the tunnel.
    func closeMembers(where isMeant: (EdgeMember) -> Bool) {
        for (id, member) in memberships where isMeant(member) {
            guard let channel = visitors[id] else { continue }
            // First: the connection does not leave by itself after the event.
            leave(id)
            channel.pipeline.fireUserInboundEventTriggered(TunnelEnded())
        }
    }

    // MARK: Visitors

    /// Counts a visitor's connection until ``leave(_:)``.
    /// - Returns: false if the tunnel already has as many connections as its plan allows.
    func enter(_ channel: any Channel) -> Bool {
        if let limit = grant.connectionLimit, visitors.count >= limit {
            metrics.visitorsTooMany.add()
            return false
        }
        guard visitors.updateValue(channel, forKey: ObjectIdentifier(channel)) == nil else { return true }
        count { $0.connections.add(1) }
        metrics.connectionsTotal.add()
        metrics.connections.add(1)
        return true
    }

    /// A visitor's connection has closed, or moved to another tunnel.
    func leave(_ id: ObjectIdentifier) {
        memberships[id] = nil
        guard visitors.removeValue(forKey: id) != nil else { return }
        metrics.connections.add(-1)
    }

    var connectionCount: Int { visitors.count }

    func count(bytesIn: Int, bytesOut: Int) {
        count { $0.bytes.add(bytesIn + bytesOut) }
        metrics.bytesIn.add(bytesIn)
        metrics.bytesOut.add(bytesOut)
    }

    /// Nil before ``begin(_:)`` and after ``takeCounters()``.
    var totals: TunnelTotals? { counters?.totals }

    /// Starts counting. The counters start with the values of the tunnel's last link.
    func begin(_ counters: TunnelCounters) { self.counters = counters }

    /// Passes the counters to the caller.
    func takeCounters() -> TunnelCounters? {
        defer { counters = nil }
        return counters
    }

    private func count(_ body: (TunnelCounters) -> Void) { if let counters { body(counters) } }

    /// Whether visitors are admitted: the tunnel is counting, and is neither ended nor paused.
    var isOpen: Bool { counters != nil && !isEnded && !isPaused }

    /// Counts a request before a byte of its response is sent. Every visitor with a response was therefore counted.
    func countRequest() {
        count { $0.requests.add(1) }
        metrics.requests.add()
    }

    /// A request has failed, by its status.
    func countError() { count { $0.errors.add(1) } }

    /// A request has ended.
    func answered(_ request: TunnelRequest) {
        guard options.reportsRequests == true else { return }
        if reports.count < Self.reportLimit { reports.append(request) } else { droppedReports += 1 }
        guard reportTimer == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        reportTimer = loop.scheduleTask(in: Self.reportPause) { bound.value.report() }
    }

    private func report() {
        reportTimer = nil
        guard !isEnded, !reports.isEmpty else { return }
        var call = LinkCall(.requests, tunnel: grant.id)
        call.requests = reports
        call.dropped = droppedReports
        if link.call(JSONText.encode(call)) == nil {
            // The machine reads reports too slowly: the rest is only counted.
            droppedReports += reports.count
        } else {
            droppedReports = 0
        }
        reports.removeAll(keepingCapacity: true)
    }

    // MARK: Connections to the service

    /// An idle connection to the service, or a new one.
    /// - Throws: ``LinkRejection``.
    func service(peer: String, host: String, fresh: Bool) throws(LinkRejection) -> ServiceStream {
        if !fresh, let known = idle.popLast() { return known }
        let service = ServiceStream(tunnel: self)
        service.stream = try link.open(
            LinkOpen(tunnel: grant.id, peer: peer, host: host, trace: ""), owner: service)
        return service
    }

    /// Keeps a connection to the service for the next request, unless the tunnel has changed since it was opened.
    func keep(_ service: ServiceStream) {
        service.user = nil
        service.wasUsed = true
        service.idleSince = .now()
        guard !isEnded, keepAlive > .zero, Self.idleLimit > idle.count, service.changeNumber == changeNumber else {
            return service.end(.cancelled)
        }
        idle.append(service)
        scheduleIdle()
    }

    /// Node closes its idle connections after 5 s. A request must not be sent at that moment.
    private var keepAlive: TimeAmount { .seconds(Int64(min(max(options.keepAlive ?? 4, 0), 300))) }

    private func scheduleIdle() {
        guard idleTimer == nil, let oldest = idle.first else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        idleTimer = loop.scheduleTask(deadline: oldest.idleSince + keepAlive) {
            let tunnel = bound.value
            tunnel.idleTimer = nil
            let now = NIODeadline.now()
            while let first = tunnel.idle.first, now - first.idleSince >= tunnel.keepAlive {
                tunnel.idle.removeFirst()
                first.end(.cancelled)
            }
            tunnel.scheduleIdle()
        }
    }

    /// An unused connection to the service has ended.
    func forget(_ service: ServiceStream) { idle.removeAll { $0 === service } }

    // MARK: The end

    /// Other rules apply from now on: visitors connect again.
    /// - Parameter numbers: the versions of the stored policies that still apply.
    func policyChanged(keeping numbers: Set<Int>) {
        storedGates = storedGates.filter { numbers.contains($0.key) }
        closeVisitors()
    }

    /// Members whose connections are open.
    var members: [EdgeMember] { Array(memberships.values) }

    func setPaused(_ isPaused: Bool) {
        self.isPaused = isPaused
        if isPaused { closeVisitors() }
    }

    /// Closes every visitor's connection, and those to the service.
    func end() {
        guard !isEnded else { return }
        report()
        isEnded = true
        idleTimer?.cancel()
        reportTimer?.cancel()
        for service in idle { service.end(.stopped) }
        idle = []
        closeVisitors()
    }

    private func closeVisitors() {
        let open = visitors.values
        visitors = [:]
        memberships = [:]
        metrics.connections.add(-open.count)
        for channel in open { channel.pipeline.fireUserInboundEventTriggered(TunnelEnded()) }
    }
}

/// Tells a visitor's handlers that their tunnel is no longer served.
struct TunnelEnded: Sendable {}

/// The traffic of one tunnel, counted in memory that survives a killed process.
struct TunnelCounters {
    let requests, bytes, connections, errors: KeptCounters.Counter
    private let file: KeptCounters

    init(_ id: String, in file: KeptCounters, from totals: TunnelTotals) {
        self.file = file
        requests = file.open("\(id) r", from: totals.requests)
        bytes = file.open("\(id) b", from: totals.bytes)
        connections = file.open("\(id) c", from: totals.connections)
        errors = file.open("\(id) e", from: totals.errors)
    }

    var totals: TunnelTotals {
        TunnelTotals(
            requests: requests.value, bytes: bytes.value, connections: connections.value, errors: errors.value)
    }

    /// The counts are stored elsewhere.
    func close() { for counter in [requests, bytes, connections, errors] { file.close(counter.place) } }
}

extension TunnelTotals {
    /// The counts that the last process left, by tunnel.
    /// - Parameter counts: by the names that ``TunnelCounters`` uses.
    public static func left(in counts: [String: Int]) -> [String: TunnelTotals] {
        var found: [String: TunnelTotals] = [:]
        for (name, value) in counts {
            let parts = name.split(separator: " ")
            guard parts.count == 2 else { continue }
            var totals = found[String(parts[0])] ?? TunnelTotals(requests: 0, bytes: 0, connections: 0)
            switch parts[1] {
            case "r": totals.requests = value
            case "b": totals.bytes = value
            case "c": totals.connections = value
            case "e": totals.errors = value
            default: continue
            }
            found[String(parts[0])] = totals
        }
        return found
    }
}
