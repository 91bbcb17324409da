import Background
import Link
import Model
import NIOCore
import Sockets
import Telemetry
import TransportSecurity
import Wire

/// The server's side of one machine's link: who it is, and which tunnels it serves. It belongs to the link's event loop.
final class LinkConnection: LinkOwner {
    private let server: TunnelServer
    /// Random; `WELCOME` carries it.
    let id = RandomText.make(letters: 22)
    let loop: any EventLoop
    private let address: String
    private var link: LinkHandler?
    private var session: (any LinkSession)?
    private var instance = ""
    /// By the tunnel's id.
    private var tunnels: [String: Served] = [:]
    private var starting: Set<String> = []
    /// Those of them that somebody has ended meanwhile.
    private var cancelled: Set<String> = []
    private var isEnded = false
    private var isDraining = false

    private struct Served {
        let live: LiveTunnel
        /// Of a `tcp` tunnel.
        let port: PortListener?
    }

    init(server: TunnelServer, loop: any EventLoop, address: String) {
        self.server = server
        self.loop = loop
        self.address = address
    }

    private var bound: NIOLoopBound<LinkConnection> { NIOLoopBound(self, eventLoop: loop) }

    // MARK: Greeting

    func linkGreeted(_ hello: LinkHello, by link: LinkHandler) {
        self.link = link
        guard let token = hello.token else {
            return refuse(LinkError(.unauthorized, "The link shows neither a token nor a certificate."))
        }
        instance = hello.instance
        let (authority, address, bound, loop) = (server.authority, self.address, self.bound, self.loop)
        // Who it is stands in the database.
        let isTaken = server.background.run {
            let admitted = await authority.admit(token: token, from: address)
            loop.execute { bound.value.admitted(admitted, hello) }
        }
        if !isTaken { refuse(LinkError(.busy, "The server has too much to do; try again in a moment.")) }
    }

    private func admitted(_ result: Result<any LinkSession, LinkError>, _ hello: LinkHello) {
        guard !isEnded, let link else { return }
        switch result {
        case .failure(let error): refuse(error)
        case .success(let session):
            let handle = TunnelServer.LinkHandle(id: id, loop: loop, connection: bound, session: session)
            guard server.add(handle) else {
                return link.end(LinkError(.stopping, "The server is stopping."), retryAfter: 1000)
            }
            self.session = session
            server.metrics.links.add(1)
            let budget = server.budget(of: session.organisationId)
            link.engine.use(CreditBudget(limit: budget.limit, within: budget))
            link.welcome(
                LinkWelcome(
                    software: server.configuration.software, link: id, maxStreams: 0), to: hello)
        }
    }

    private func refuse(_ error: LinkError) {
        server.metrics.linksRefused.add()
        server.log.linkRefused(error.message)
        link?.end(error, retryAfter: error.code == .busy ? 5000 : nil)
    }

    // MARK: Streams

    /// Machines open none in this version; `WELCOME` says so.
    func linkOpened(_ stream: LinkStream, by link: LinkHandler) {
        link.reject(stream, LinkRejection(code: "unknown", message: "A machine's streams are for a newer server."))
    }

    // MARK: Calls

    func linkCalled(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        let call: TunnelCall
        do { call = try JSONText.decode(TunnelCall.self, from: json) } catch {
            return answer(number, TunnelRefusal(400, code: "bad_request", "The call cannot be read: \(error)."))
        }
        switch call.call {
        case .start: start(call, number)
        case .stop:
            end(tunnel: call.tunnel, reason: nil)
            answer(number, nil)
        case .ended, .requests:
            answer(number, TunnelRefusal(400, code: "bad_request", "Only the server says \(call.call.rawValue)."))
        }
    }

    func linkAnswered(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {}

    private func answer(_ number: UInt32, _ refusal: TunnelRefusal?) {
        link?.answer(number, JSONText.encode(TunnelAnswer(error: refusal?.resource)))
    }

    private func start(_ call: TunnelCall, _ number: UInt32) {
        let options = call.options ?? TunnelOptions()
        let rules: AccessRules
        do throws(AccessRules.Problem) { rules = try AccessRules(options) } catch {
            return answer(number, TunnelRefusal(400, code: "invalid", error.message))
        }
        guard let session, tunnels[call.tunnel] == nil, starting.insert(call.tunnel).inserted else {
            return answer(number, TunnelRefusal(409, code: "in_use", "This command serves the tunnel already."))
        }
        guard tunnels.count + starting.count <= TunnelConfiguration.tunnelsPerLink else {
            starting.remove(call.tunnel)
            return answer(
                number, TunnelRefusal(403, code: "limit_reached", "One command serves at most 1,000 tunnels."))
        }
        let (bound, loop) = (self.bound, self.loop)
        let usesLists = options.allow != nil || options.deny != nil
        let isTaken = server.background.run {
            let granted = await session.start(tunnel: call.tunnel, usesAddressLists: usesLists)
            loop.execute { bound.value.granted(granted, call.tunnel, options, rules, number) }
        }
        if !isTaken {
            starting.remove(call.tunnel)
            answer(number, TunnelRefusal(503, code: "busy", "The server has too much to do; try again in a moment."))
        }
    }

    private func granted(
        _ result: Result<TunnelGrant, TunnelRefusal>, _ id: String, _ options: TunnelOptions, _ rules: AccessRules,
        _ number: UInt32
    ) {
        guard !isEnded, let link else { return }
        guard case .success(let grant) = result else {
            starting.remove(id)
            if case .failure(let refusal) = result { answer(number, refusal) }
            return
        }
        let live = LiveTunnel(
            grant, options: options, rules: rules, link: link, loop: loop, metrics: server.metrics)
        let handle = TunnelHandle(
            grant: grant, loop: loop, live: NIOLoopBound(live, eventLoop: loop), connection: bound, link: self.id,
            instance: instance, since: .now(), from: address)
        switch server.start(handle) {
        case .isServed(let since, let from):
            starting.remove(id)
            let name = grant.name ?? "\(grant.port ?? 0)"
            return answer(
                number,
                TunnelRefusal(
                    409, code: "in_use",
                    "\(name) is served by another command since \(since.readable), from \(from); 'postern tunnel stop \(name)' ends that one."
                ))
        case .replaces(let before):
            // When the old link has given up its port and its counts.
            let (bound, loop) = (self.bound, self.loop)
            before.loop.flatSubmit { before.connection.value.replaced(grant.id) }.hop(to: loop).whenComplete { result in
                let totals = (try? result.get()) ?? grant.totals
                bound.value.open(handle, from: totals.atLeast(grant.totals), number)
            }
        case .started: open(handle, from: grant.totals, number)
        }
    }

    private func open(_ handle: TunnelHandle, from totals: TunnelTotals, _ number: UInt32) {
        let grant = handle.grant
        guard let port = grant.port else { return check(handle, from: totals, port: nil, number) }
        let bound = self.bound
        PortListener.open(port, server: server, loop: loop, for: handle).hop(to: loop).whenComplete { result in
            let connection = bound.value
            switch result {
            case .success(let listener): connection.check(handle, from: totals, port: listener, number)
            case .failure(let error):
                connection.server.log.portFailed(port, error)
                connection.refuse(
                    handle, port: nil,
                    TunnelRefusal(
                        409, code: "port_unavailable",
                        "Port \(port) cannot be opened on the server; choose another one."),
                    number)
            }
        }
    }

    /// Asks once more, now that whoever stops, pauses or removes the tunnel finds it here: what was done before is in the row.
    private func check(_ handle: TunnelHandle, from totals: TunnelTotals, port: PortListener?, _ number: UInt32) {
        guard let session else { return }
        let (bound, loop, id) = (self.bound, self.loop, handle.grant.id)
        server.background.run(isEssential: true) {
            let refusal = await session.refusal(of: id)
            loop.execute {
                let connection = bound.value
                if let refusal { return connection.refuse(handle, port: port, refusal, number) }
                connection.serving(handle, from: totals, port: port, number)
            }
        }
    }

    private func refuse(_ handle: TunnelHandle, port: PortListener?, _ refusal: TunnelRefusal, _ number: UInt32) {
        starting.remove(handle.grant.id)
        cancelled.remove(handle.grant.id)
        port?.close()
        handle.live.value.end()
        server.ended(handle.grant, by: id, isForgotten: false)
        answer(number, refusal)
    }

    private func serving(_ handle: TunnelHandle, from totals: TunnelTotals, port: PortListener?, _ number: UInt32) {
        let grant = handle.grant
        guard !isEnded, cancelled.remove(grant.id) == nil else {
            return refuse(handle, port: port, TunnelRefusal(409, code: "stopped", "The tunnel was stopped."), number)
        }
        starting.remove(grant.id)
        let live = handle.live.value
        live.begin(TunnelCounters(grant.id, in: server.counters, from: totals))
        tunnels[grant.id] = Served(live: live, port: port)
        server.metrics.tunnels.add(1)
        server.log.started(grant, place: grant.name ?? "port \(grant.port ?? 0)")
        answer(number, nil)
    }

    // MARK: The end of tunnels

    /// - Parameter reason: why the server ends it, in a sentence; nil where the command does.
    func end(tunnel id: String, reason: String?) {
        if starting.contains(id) { cancelled.insert(id) }
        guard let served = tunnels.removeValue(forKey: id) else { return }
        server.metrics.tunnels.add(-1)
        if let reason {
            var call = TunnelCall(.ended, tunnel: id)
            call.reason = reason
            _ = link?.call(JSONText.encode(call))
        }
        server.log.ended(served.live.grant, reason: reason ?? "its command ended it")
        close(served, isStopped: reason == nil)
    }

    /// A newer link of the same command serves it.
    /// - Returns: what it has carried, when its port is free.
    func replaced(_ id: String) -> EventLoopFuture<TunnelTotals> {
        if starting.contains(id) { cancelled.insert(id) }
        guard let served = tunnels.removeValue(forKey: id) else {
            return loop.makeSucceededFuture(TunnelTotals(requests: 0, bytes: 0, connections: 0))
        }
        server.metrics.tunnels.add(-1)
        served.live.end()
        let totals = stopped(served, isStopped: false)
        if tunnels.isEmpty { link?.end(LinkError(.closed, "A newer link of the same command has taken over.")) }
        guard let port = served.port else { return loop.makeSucceededFuture(totals) }
        return port.close().hop(to: loop).map { totals }
    }

    private func close(_ served: Served, isStopped: Bool) {
        served.port?.close()
        served.live.end()
        server.ended(served.live.grant, by: id, isForgotten: isStopped && !served.live.grant.isKept)
        stopped(served, isStopped: isStopped)
    }

    /// Writes down what it carried, and then gives the counts' places back.
    @discardableResult
    private func stopped(_ served: Served, isStopped: Bool) -> TunnelTotals {
        let grant = served.live.grant
        guard let session, let counters = served.live.takeCounters() else { return grant.totals }
        let totals = counters.totals
        let (bound, loop) = (NIOLoopBound(counters, eventLoop: loop), self.loop)
        server.background.run(isEssential: true) {
            guard await session.ended(tunnel: grant.id, totals: totals, isStopped: isStopped) else { return }
            loop.execute { bound.value.close() }
        }
        return totals
    }

    // MARK: The end of the link

    /// Cuts the link now, and says why.
    func cut(_ error: LinkError) { link?.end(error) }

    /// The server is stopping: what goes on may end, nothing new begins.
    func drain(reconnectIn milliseconds: Int) {
        guard !isDraining, let link else { return }
        isDraining = true
        link.goAway(
            LinkGoAway(code: .stopping, message: "The server is stopping.", retryAfter: milliseconds))
        let bound = self.bound
        loop.assumeIsolated().scheduleTask(in: Self.drainTime) {
            bound.value.link?.end(LinkError(.stopping, "The server is stopping."), retryAfter: milliseconds)
        }
        if link.engine.streamCount == 0 {
            link.end(LinkError(.stopping, "The server is stopping."), retryAfter: milliseconds)
        }
    }

    /// How long requests under way get when the server stops.
    private static let drainTime = TimeAmount.seconds(3)

    func linkFailed(_ error: any Error, by link: LinkHandler) {}

    func linkShouldQuiesce() { drain(reconnectIn: 1000) }

    func linkEnded(_ error: LinkError?, by link: LinkHandler) {
        guard !isEnded else { return }
        isEnded = true
        self.link = nil
        if let error, [.protocolError, .flowControl, .flood].contains(error.code) {
            server.metrics.linkViolations.add()
            server.log.linkBroken(error.message)
        }
        if session != nil {
            server.metrics.links.add(-1)
            server.remove(link: id)
        }
        let served = tunnels.values
        tunnels = [:]
        server.metrics.tunnels.add(-served.count)
        for one in served {
            server.log.ended(one.live.grant, reason: error?.message ?? "the connection ended")
            close(one, isStopped: false)
        }
    }
}
