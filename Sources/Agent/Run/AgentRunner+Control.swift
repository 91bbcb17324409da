import Client
import Link
import Logging
import Model
import NIOCore
import TransportSecurity
import Wire

/// Answers requests of this machine's command line.
extension AgentRunner {
    /// How long the server may take to answer for all tunnels; ``ControlClient`` waits for three of these.
    private static let settleTimeout = TimeAmount.seconds(15)

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
        answer.machine = name
        answer.id = configuration.enrolment.id
        answer.server = configuration.enrolment.url
        answer.isOnline = onlineSince != nil
        answer.since = onlineSince?.iso
        answer.way = onlineSince == nil ? nil : keeper.way.rawValue
        answer.reason = onlineSince == nil ? reason : nil
        answer.problems = problems.isEmpty ? nil : problems
        answer.roundTripMilliseconds = keeper.link?.engine.roundTrip.map { Double($0.nanoseconds) / 1_000_000 }
        answer.tunnels = tunnels.sorted { $0.key < $1.key }.map { label, tunnel in
            ServedTunnel(
                label: label, kind: tunnel.wanted.kind, service: tunnel.wanted.title, url: tunnel.known?.url,
                state: tunnel.state.word, problem: tunnel.state.problem)
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
        return declaredOnServer().map { found in
            let runner = bound.value
            let running = runner.tunnels.mapValues {
                TunnelChanges.Running(
                    wanted: $0.wanted, known: $0.known, isOnline: $0.state == .online, problem: $0.state.problem)
            }
            var answer = ControlAnswer()
            answer.differences = TunnelChanges.differences(running, settings, found.tunnels)
            answer.reason = found.problem
            return answer
        }
    }

    private struct OnServer: Sendable {
        /// Nil if the server could not be asked.
        let tunnels: [DeclaredTunnel]?
        let problem: String?
    }

    private func declaredOnServer() -> EventLoopFuture<OnServer> {
        guard keeper.link != nil else {
            return loop.makeSucceededFuture(
                OnServer(tunnels: nil, problem: "the server was not asked: not connected (\(reason))"))
        }
        let promise = loop.makePromise(of: OnServer.self)
        declaredPage([], promise)
        loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) {
            promise.succeed(OnServer(tunnels: nil, problem: "the server did not respond"))
        }
        return promise.futureResult
    }

    /// Fetches the next pages until one is empty.
    private func declaredPage(_ before: [DeclaredTunnel], _ promise: EventLoopPromise<OnServer>) {
        keeper.call(LinkCall(.declared, tunnel: before.last?.id ?? "")) { [weak self] answer in
            if let error = answer.error { return promise.succeed(OnServer(tunnels: nil, problem: error.message)) }
            let page = answer.tunnels ?? []
            guard !page.isEmpty, before.count + page.count <= AgentSettings.tunnelLimit * 2, let self else {
                return promise.succeed(OnServer(tunnels: before, problem: nil))
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
        return declaredOnServer().flatMap { found -> EventLoopFuture<ControlAnswer> in
            let runner = bound.value
            guard let known = found.tunnels else {
                runner.take(settings)
                let why = found.problem ?? ""
                return runner.loop.makeSucceededFuture(
                    ControlAnswer(
                        error:
                            "\(why). The file is in use now; run this again when connected, to release the tunnels removed from it"
                    ))
            }
            // Tunnels are released first, so that a plan at its limit has room for the new ones.
            let released = runner.loop.makePromise(of: [String].self)
            runner.release(TunnelChanges.leftovers(known, settings)).cascade(to: released)
            runner.loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) {
                released.succeed(["the server did not respond"])
            }
            return released.futureResult.flatMap { problems in bound.value.settle(settings, problems) }
        }
    }

    private func settle(_ settings: AgentSettings, _ problems: [String]) -> EventLoopFuture<ControlAnswer> {
        take(settings)
        let done = loop.makePromise(of: Void.self)
        settled().cascade(to: done)
        loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) { done.succeed() }
        let bound = NIOLoopBound(self, eventLoop: loop)
        return done.futureResult.map {
            var answer = bound.value.status()
            if !problems.isEmpty { answer.problems = (answer.problems ?? []) + problems }
            return answer
        }
    }

    // MARK: The key

    private func rekey() -> EventLoopFuture<ControlAnswer> {
        guard keeper.link != nil else {
            return loop.makeSucceededFuture(
                ControlAnswer(error: "not connected to the server (\(reason)); try again when connected"))
        }
        guard !isRekeying else {
            return loop.makeSucceededFuture(ControlAnswer(error: "a key change is already in progress"))
        }
        do {
            let next = try MachineState.makeKey()
            // Saved before the server receives it, so that this machine has both keys whatever happens next.
            try configuration.state.saveNext(next)
            var call = LinkCall(.rekey)
            call.certificate = try next.certificatePEM()
            isRekeying = true
            let promise = loop.makePromise(of: ControlAnswer.self)
            keeper.call(call) { [weak self] answer in
                guard let self else { return }
                self.isRekeying = false
                if let error = answer.error { return promise.succeed(ControlAnswer(error: error.message)) }
                do {
                    try self.configuration.state.takeNext()
                    self.keeper.reconnect(as: try Self.context(self.configuration.enrolment, next))
                    self.logger.notice("new key", metadata: ["fingerprint": "\(next.leaf.keyFingerprint)"])
                    promise.succeed(ControlAnswer())
                } catch { promise.succeed(ControlAnswer(error: sentence(of: error))) }
            }
            loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) {
                promise.succeed(
                    ControlAnswer(
                        error:
                            "the server did not respond in time; the agent keeps both keys and finds out which one is valid"
                    ))
            }
            return promise.futureResult
        } catch { return loop.makeSucceededFuture(ControlAnswer(error: sentence(of: error))) }
    }
}
