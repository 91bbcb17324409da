import Client
import Link
import Logging
import Model
import NIOCore
import TransportSecurity
import Wire

/// What the command line of this machine asks.
extension AgentRunner {
    /// How long the server may take to answer for all tunnels.
    private static let settleTimeout = TimeAmount.seconds(20)

    func answer(_ request: ControlRequest) -> EventLoopFuture<ControlAnswer> {
        switch request.verb {
        case .status: return loop.makeSucceededFuture(status())
        case .diff: return differences()
        case .apply: return apply()
        case .rekey: return rekey()
        }
    }

    private func status() -> ControlAnswer {
        var answer = ControlAnswer()
        answer.machine = configuration.enrolment.name
        answer.id = configuration.enrolment.id
        answer.server = configuration.enrolment.url
        answer.isOnline = onlineSince != nil
        answer.since = onlineSince?.iso
        answer.way = onlineSince == nil ? nil : keeper.way.rawValue
        answer.reason = onlineSince == nil ? reason : nil
        answer.roundTripMilliseconds = keeper.link?.engine.roundTrip.map { Double($0.nanoseconds) / 1_000_000 }
        answer.tunnels = tunnels.sorted { $0.key < $1.key }.map { label, tunnel in
            var served = ServedTunnel(
                label: label, kind: tunnel.wanted.kind, service: tunnel.wanted.title, url: tunnel.known?.url,
                state: "waiting")
            switch tunnel.state {
            case .waiting: break
            case .online: served.state = "online"
            case .failed(let reason): (served.state, served.problem) = ("failed", reason)
            case .stopped(let reason): (served.state, served.problem) = ("stopped", reason)
            }
            return served
        }
        return answer
    }

    // MARK: agent.yml

    private func differences() -> EventLoopFuture<ControlAnswer> {
        let settings: AgentSettings
        do { settings = try AgentSettings.read(configuration.settingsPath) } catch {
            return loop.makeSucceededFuture(ControlAnswer(error: error.sentences.joined(separator: "\n")))
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        return declaredOnServer().map { known in
            var answer = ControlAnswer()
            answer.differences = bound.value.differences(settings, known)
            return answer
        }
    }

    private func differences(_ settings: AgentSettings, _ known: [DeclaredTunnel]) -> [TunnelDifference] {
        var found: [TunnelDifference] = []
        for label in Set(settings.tunnels.keys).union(tunnels.keys).sorted() {
            let (before, after) = (tunnels[label], settings.tunnels[label])
            let change: TunnelDifference.Change =
                switch (before, after) {
                case (nil, _): .add
                case (_, nil): .remove
                case (let before?, let after?): before.wanted == after && before.state == .online ? .none : .change
                }
            found.append(
                TunnelDifference(
                    label: label, change: change, before: before.map(Self.text),
                    after: after.map { Self.text($0) }))
        }
        for tunnel in known where tunnel.label.map({ tunnels[$0] == nil && settings.tunnels[$0] == nil }) ?? true {
            let place = tunnel.name ?? tunnel.port.map { "port \($0)" } ?? tunnel.id
            found.append(
                TunnelDifference(
                    label: tunnel.label ?? place, change: .remove,
                    before: "\(tunnel.url), on the server, served by nothing",
                    after: nil))
        }
        return found
    }

    private static func text(_ tunnel: LiveDeclaration) -> String {
        let state: String
        switch tunnel.state {
        case .online: state = ""
        case .waiting: state = " (waiting)"
        case .failed(let reason): state = " (failed: \(reason))"
        case .stopped(let reason): state = " (stopped: \(reason))"
        }
        return text(tunnel.wanted, url: tunnel.known?.url) + state
    }

    private static func text(_ tunnel: AgentTunnel, url: String? = nil) -> String {
        let place = url ?? tunnel.name ?? tunnel.port.map { "port \($0)" } ?? "a new address"
        return "\(tunnel.kind.rawValue) \(place) -> \(tunnel.title)\(options(tunnel))"
    }

    /// What else is set, without the passwords.
    private static func options(_ tunnel: AgentTunnel) -> String {
        var words: [String] = []
        if let pairs = tunnel.options.basicAuth { words.append("\(pairs.count) passwords") }
        if let allow = tunnel.options.allow { words.append("allow \(allow.joined(separator: " "))") }
        if let deny = tunnel.options.deny { words.append("deny \(deny.joined(separator: " "))") }
        if let host = tunnel.options.hostHeader { words.append("host \(host)") }
        if let path = tunnel.options.path { words.append("path \(path)") }
        if tunnel.proxyProtocol { words.append("PROXY header") }
        return words.isEmpty ? "" : " (\(words.joined(separator: ", ")))"
    }

    /// Empty where there is no link: what is on the server is unknown then.
    private func declaredOnServer() -> EventLoopFuture<[DeclaredTunnel]> {
        guard keeper.link != nil else { return loop.makeSucceededFuture([]) }
        let promise = loop.makePromise(of: [DeclaredTunnel].self)
        declaredPage([], promise)
        loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) { promise.succeed([]) }
        return promise.futureResult
    }

    /// The pages behind those that came, until one is empty.
    private func declaredPage(_ before: [DeclaredTunnel], _ promise: EventLoopPromise<[DeclaredTunnel]>) {
        keeper.call(LinkCall(.declared, tunnel: before.last?.id ?? "")) { [weak self] answer in
            let page = answer.tunnels ?? []
            guard !page.isEmpty, before.count + page.count <= AgentSettings.tunnelLimit * 2, let self else {
                return promise.succeed(before)
            }
            self.declaredPage(before + page, promise)
        }
    }

    private func apply() -> EventLoopFuture<ControlAnswer> {
        let settings: AgentSettings
        do { settings = try AgentSettings.read(configuration.settingsPath) } catch {
            return loop.makeSucceededFuture(ControlAnswer(error: error.sentences.joined(separator: "\n")))
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        return declaredOnServer().flatMap { known in
            let runner = bound.value
            runner.take(settings)
            for tunnel in known where tunnel.label.map({ settings.tunnels[$0] == nil }) ?? true {
                runner.keeper.call(LinkCall(.release, tunnel: tunnel.id)) { _ in }
            }
            let settled = runner.loop.makePromise(of: Void.self)
            runner.settled().cascade(to: settled)
            runner.loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) { settled.succeed() }
            return settled.futureResult.map { bound.value.status() }
        }
    }

    // MARK: The key

    private func rekey() -> EventLoopFuture<ControlAnswer> {
        guard keeper.link != nil else {
            return loop.makeSucceededFuture(
                ControlAnswer(error: "there is no link to the server now (\(reason)); try again when there is"))
        }
        do {
            let next = try MachineState.makeKey()
            // Before the server hears of it: whatever happens then, this machine has both keys.
            try configuration.state.saveNext(next)
            var call = LinkCall(.rekey)
            call.certificate = try next.certificatePEM()
            let promise = loop.makePromise(of: ControlAnswer.self)
            keeper.call(call) { [weak self] answer in
                guard let self else { return }
                if let error = answer.error { return promise.succeed(ControlAnswer(error: error.message)) }
                do {
                    try self.configuration.state.takeNext()
                    self.keeper.reconnect(as: try Self.context(self.configuration.enrolment, next))
                    self.logger.notice("new key", metadata: ["fingerprint": "\(next.leaf.keyFingerprint)"])
                    promise.succeed(ControlAnswer())
                } catch { promise.succeed(ControlAnswer(error: sentence(of: error))) }
            }
            loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) {
                promise.succeed(ControlAnswer(error: "the server did not answer; the old key is still good"))
            }
            return promise.futureResult
        } catch { return loop.makeSucceededFuture(ControlAnswer(error: sentence(of: error))) }
    }
}
