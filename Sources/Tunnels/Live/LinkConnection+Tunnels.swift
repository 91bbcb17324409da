import Background
import Link
import Model
import NIOCore
import Telemetry
import Wire

/// The tunnels of one link, from the machine's request to their end.
extension LinkConnection {
    // MARK: Calls

    func linkCalled(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        let call: LinkCall
        do { call = try JSONText.decode(LinkCall.self, from: json) } catch {
            return answer(number, TunnelRefusal(400, code: "bad_request", "The call cannot be read: \(error)."))
        }
        switch call.call {
        case .start: start(call, number)
        case .stop:
            end(tunnel: call.tunnel, reason: nil)
            answer(number, nil)
        case .declare, .declared, .release, .report, .rekey: machineCalled(call, number)
        case .ended, .requests:
            answer(number, TunnelRefusal(400, code: "bad_request", "Only the server can send \(call.call.rawValue)."))
        }
    }

    func linkAnswered(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {}

    func answer(_ number: UInt32, _ refusal: TunnelRefusal?) {
        link?.answer(number, JSONText.encode(LinkAnswer(error: refusal?.resource)))
    }

    fileprivate func start(_ call: LinkCall, _ number: UInt32) {
        let options = call.options ?? TunnelOptions()
        let rules: AccessRules
        do throws(AccessRules.Problem) { rules = try AccessRules(options) } catch {
            return answer(number, TunnelRefusal(400, code: "invalid", error.message))
        }
        if let session, tunnels[call.tunnel] != nil { return change(call.tunnel, options, rules, session, number) }
        guard let session, starting.insert(call.tunnel).inserted else {
            return answer(number, TunnelRefusal(409, code: "in_use", "The tunnel is already being started."))
        }
        guard tunnels.count + starting.count <= TunnelConfiguration.tunnelsPerLink else {
            starting.remove(call.tunnel)
            return answer(
                number, TunnelRefusal(403, code: "limit_reached", "One connection serves at most 1,000 tunnels."))
        }
        let (bound, loop) = (self.bound, self.loop)
        let usesLists = options.policy?.usesAddressLists ?? false
        let isTaken = server.background.run {
            let granted = await session.start(tunnel: call.tunnel, usesAddressLists: usesLists)
            loop.execute { bound.value.granted(granted, call.tunnel, options, rules, number) }
        }
        if !isTaken {
            starting.remove(call.tunnel)
            answer(number, TunnelRefusal(503, code: "busy", "The server is overloaded; try again in a moment."))
        }
    }

    /// Changes the options of a tunnel that this link serves, if its plan allows them. The newest options win.
    private func change(
        _ id: String, _ options: TunnelOptions, _ rules: AccessRules, _ session: any LinkSession, _ number: UInt32
    ) {
        let (bound, loop) = (self.bound, self.loop)
        let usesLists = options.policy?.usesAddressLists ?? false
        changes &+= 1
        let change = changes
        let isTaken = server.background.run {
            let refusal = await session.refusal(of: id, usesAddressLists: usesLists)
            loop.execute {
                let connection = bound.value
                guard refusal == nil, let live = connection.tunnels[id]?.live else {
                    return connection.answer(number, refusal)
                }
                guard live.grant.kind == .http || !rules.needsRequests else {
                    return connection.answer(number, TunnelRefusal(400, code: "invalid", AccessRules.onlyForHTTP))
                }
                live.change(options, rules, number: change)
                connection.answer(number, nil)
            }
        }
        if !isTaken {
            answer(number, TunnelRefusal(503, code: "busy", "The server is overloaded; try again in a moment."))
        }
    }

    fileprivate func granted(
        _ result: Result<TunnelGrant, TunnelRefusal>, _ id: String, _ options: TunnelOptions, _ rules: AccessRules,
        _ number: UInt32
    ) {
        guard !isEnded, let link else { return }
        guard case .success(let grant) = result else {
            starting.remove(id)
            if case .failure(let refusal) = result { answer(number, refusal) }
            return
        }
        guard grant.kind == .http || !rules.needsRequests else {
            starting.remove(id)
            return answer(number, TunnelRefusal(400, code: "invalid", AccessRules.onlyForHTTP))
        }
        let live = LiveTunnel(
            grant, options: options, rules: rules, link: link, loop: loop, metrics: server.metrics)
        let handle = TunnelHandle(
            grant: grant, loop: loop, live: NIOLoopBound(live, eventLoop: loop), connection: bound, link: self.id,
            instance: instance, machineId: machine?.machineId, since: .now(), from: address)
        switch server.start(handle) {
        case .isServed(let since, let from):
            starting.remove(id)
            let name = grant.name ?? "\(grant.port ?? 0)"
            return answer(
                number,
                TunnelRefusal(
                    409, code: "in_use",
                    "\(name) is served from \(from) since \(since.readable); 'postern tunnel stop \(name)' stops it."
                ))
        case .replaces(let before):
            // Continues after the old link has released its port and its counters.
            let (bound, loop) = (self.bound, self.loop)
            before.loop.flatSubmit { before.connection.value.replaced(grant.id) }.hop(to: loop).whenComplete { result in
                let totals = (try? result.get()) ?? grant.totals
                bound.value.open(handle, from: totals.atLeast(grant.totals), number)
            }
        case .started: open(handle, from: grant.totals, number)
        }
    }

    fileprivate func open(_ handle: TunnelHandle, from totals: TunnelTotals, _ number: UInt32) {
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

    /// Checks the tunnel once more, now that a stop, pause or removal finds it here. Earlier changes are in the row.
    fileprivate func check(_ handle: TunnelHandle, from totals: TunnelTotals, port: PortListener?, _ number: UInt32) {
        guard let session else { return }
        let (bound, loop, id) = (self.bound, self.loop, handle.grant.id)
        server.background.run(isEssential: true) {
            let refusal = await session.refusal(of: id, usesAddressLists: false)
            loop.execute {
                let connection = bound.value
                if let refusal { return connection.refuse(handle, port: port, refusal, number) }
                connection.serving(handle, from: totals, port: port, number)
            }
        }
    }

    fileprivate func refuse(_ handle: TunnelHandle, port: PortListener?, _ refusal: TunnelRefusal, _ number: UInt32) {
        starting.remove(handle.grant.id)
        cancelled.remove(handle.grant.id)
        port?.close()
        handle.live.value.end()
        server.ended(handle.grant, by: id, isForgotten: false)
        answer(number, refusal)
    }

    fileprivate func serving(_ handle: TunnelHandle, from totals: TunnelTotals, port: PortListener?, _ number: UInt32) {
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

    /// - Parameter reason: why the server ends it, as a sentence. Nil if the command ends it.
    func end(tunnel id: String, reason: String?) {
        if starting.contains(id) { cancelled.insert(id) }
        guard let served = tunnels.removeValue(forKey: id) else { return }
        server.metrics.tunnels.add(-1)
        if let reason {
            var call = LinkCall(.ended, tunnel: id)
            call.reason = reason
            _ = link?.call(JSONText.encode(call))
        }
        server.log.ended(served.live.grant, reason: reason ?? "its command closed it")
        close(served, isStopped: reason == nil)
    }

    /// A newer link of the same command serves the tunnel.
    /// - Returns: the tunnel's totals, once its port is free.
    func replaced(_ id: String) -> EventLoopFuture<TunnelTotals> {
        if starting.contains(id) { cancelled.insert(id) }
        guard let served = tunnels.removeValue(forKey: id) else {
            return loop.makeSucceededFuture(TunnelTotals(requests: 0, bytes: 0, connections: 0))
        }
        server.metrics.tunnels.add(-1)
        served.live.end()
        let totals = stopped(served, isStopped: false)
        if tunnels.isEmpty { link?.end(LinkError(.closed, "A newer connection of the same command has taken over.")) }
        guard let port = served.port else { return loop.makeSucceededFuture(totals) }
        return port.close().hop(to: loop).map { totals }
    }

    func close(_ served: Served, isStopped: Bool) {
        served.port?.close()
        served.live.end()
        server.ended(served.live.grant, by: id, isForgotten: isStopped && !served.live.grant.isKept)
        stopped(served, isStopped: isStopped)
    }

    /// Stores the tunnel's totals and then releases the counters' places.
    @discardableResult
    func stopped(_ served: Served, isStopped: Bool) -> TunnelTotals {
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
}
