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
    private var isEnded = false
    private var isDraining = false

    private struct Served {
        let live: LiveTunnel
        /// Of a `tcp` tunnel.
        let port: PortListener?
        let counters: TunnelCounters
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
            self.session = session
            let handle = TunnelServer.LinkHandle(id: id, loop: loop, connection: bound, session: session)
            guard server.add(handle) else {
                return link.end(LinkError(.stopping, "The server is stopping."), retryAfter: 1000)
            }
            server.metrics.links.add(1)
            link.engine.use(
                CreditBudget(
                    limit: server.configuration.memoryBytes / 4, within: server.budget(of: session.organisationId)))
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
        let counters = TunnelCounters(id, in: server.counters, from: grant.totals)
        let live = LiveTunnel(
            grant, options: options, rules: rules, link: link, loop: loop, counters: counters, metrics: server.metrics)
        let handle = TunnelHandle(
            grant: grant, loop: loop, live: NIOLoopBound(live, eventLoop: loop), connection: bound, link: self.id,
            instance: instance, since: .now(), from: address)
        switch server.start(handle) {
        case .isServed(let since, let from):
            starting.remove(id)
            counters.close()
            let name = grant.name ?? "\(grant.port ?? 0)"
            return answer(
                number,
                TunnelRefusal(
                    409, code: "in_use",
                    "\(name) is served by another command since \(since.readable), from \(from); 'postern tunnel stop \(name)' ends that one."
                ))
        case .replaces(let before):
            before.loop.execute { before.connection.value.replaced(grant.id) }
            opened(handle, live, counters, number)
        case .started: opened(handle, live, counters, number)
        }
    }

    private func opened(_ handle: TunnelHandle, _ live: LiveTunnel, _ counters: TunnelCounters, _ number: UInt32) {
        let grant = handle.grant
        guard let port = grant.port else {
            return serving(Served(live: live, port: nil, counters: counters), number)
        }
        let bound = self.bound
        PortListener.open(port, server: server, loop: loop, for: handle).hop(to: loop).whenComplete { result in
            let connection = bound.value
            switch result {
            case .success(let listener):
                connection.serving(Served(live: handle.live.value, port: listener, counters: counters), number)
            case .failure(let error):
                connection.server.log.portFailed(port, error)
                connection.starting.remove(grant.id)
                connection.server.ended(grant, by: connection.id, isForgotten: false)
                counters.close()
                connection.answer(
                    number,
                    TunnelRefusal(
                        409, code: "port_unavailable",
                        "Port \(port) cannot be opened on the server; choose another one."))
            }
        }
    }

    private func serving(_ served: Served, _ number: UInt32) {
        let grant = served.live.grant
        starting.remove(grant.id)
        guard !isEnded else {
            served.port?.close()
            return stopped(served, isStopped: false)
        }
        tunnels[grant.id] = served
        server.metrics.tunnels.add(1)
        server.log.started(grant, place: grant.name ?? "port \(grant.port ?? 0)")
        answer(number, nil)
    }

    // MARK: The end of tunnels

    /// - Parameter reason: why the server ends it, in a sentence; nil where the command does.
    func end(tunnel id: String, reason: String?) {
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
    func replaced(_ id: String) {
        guard let served = tunnels.removeValue(forKey: id) else { return }
        server.metrics.tunnels.add(-1)
        served.port?.close()
        served.live.end()
        stopped(served, isStopped: false)
        if tunnels.isEmpty { link?.end(LinkError(.closed, "A newer link of the same command has taken over.")) }
    }

    private func close(_ served: Served, isStopped: Bool) {
        served.port?.close()
        served.live.end()
        server.ended(served.live.grant, by: id, isForgotten: isStopped && !served.live.grant.isKept)
        stopped(served, isStopped: isStopped)
    }

    /// Writes down what it carried, and then gives the counts' places back.
    private func stopped(_ served: Served, isStopped: Bool) {
        guard let session else { return }
        let (grant, totals) = (served.live.grant, served.live.totals)
        let counters = NIOLoopBound(served.counters, eventLoop: loop)
        let loop = self.loop
        server.background.run(isEssential: true) {
            guard await session.ended(tunnel: grant.id, totals: totals, isStopped: isStopped) else { return }
            loop.execute { counters.value.close() }
        }
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

    func linkFailed(_ error: any Error) {}

    func linkShouldQuiesce() { drain(reconnectIn: 1000) }

    func linkEnded(_ error: LinkError?) {
        guard !isEnded else { return }
        isEnded = true
        link = nil
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
