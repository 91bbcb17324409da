public import Client
import Link
import Logging
import Model
import NIOCore
import Wire

/// The tunnels of `agent.yml`: declares them on the server, serves, changes and releases them.
extension AgentRunner {
    // MARK: Settings

    /// Serves what the settings say from now on. Unchanged tunnels are not interrupted.
    /// - Parameter problems: mistakes in the file. Its other tunnels are served.
    public func take(_ settings: AgentSettings, problems: [String] = []) {
        self.problems = problems
        for (label, before) in tunnels where settings.tunnels[label] == nil { drop(label, before) }
        for (label, wanted) in settings.tunnels.sorted(by: { $0.key < $1.key }) { take(label, wanted) }
        say()
        settledTunnels()
    }

    private func take(_ label: String, _ wanted: AgentTunnel) {
        guard let before = tunnels[label] else {
            tunnels[label] = LiveDeclaration(wanted: wanted)
            return declare(label)
        }
        if before.wanted == wanted && before.state == .online { return }
        tunnels[label]?.wanted = wanted
        tunnels[label]?.service = nil
        guard before.state == .online, before.wanted.wanted == wanted.wanted, let known = before.known,
            makeService(label)
        else {
            end(before)
            tunnels[label]?.known = nil
            tunnels[label]?.state = .waiting
            return declare(label)
        }
        // Also if only the target has changed: the server closes its idle connections to the old one.
        start(label, known)
    }

    private func drop(_ label: String, _ tunnel: LiveDeclaration) {
        end(tunnel)
        tunnels[label] = nil
        logger.info("tunnel no longer served", metadata: ["tunnel": "\(label)"])
    }

    /// Ends the tunnel's connections. On the server, the tunnel still belongs to the machine. Also called while the
    /// tunnel is being started.
    private func end(_ tunnel: LiveDeclaration) {
        guard let known = tunnel.known else { return }
        labels[known.id] = nil
        if case .stopped = tunnel.state { return }
        keeper.call(LinkCall(.stop, tunnel: known.id)) { _ in }
    }

    /// Releases tunnels that are no longer wanted.
    /// - Returns: the errors, as sentences.
    func release(_ leftovers: [DeclaredTunnel]) -> EventLoopFuture<[String]> {
        let released = leftovers.map { tunnel -> EventLoopFuture<String?> in
            labels[tunnel.id] = nil
            let promise = loop.makePromise(of: String?.self)
            keeper.call(LinkCall(.release, tunnel: tunnel.id)) { answer in
                promise.succeed(answer.error.map { "\(tunnel.url): \($0.message)" })
            }
            return promise.futureResult
        }
        return EventLoopFuture.whenAllSucceed(released, on: loop).map { $0.compactMap { $0 } }
    }

    // MARK: Serving

    /// - Returns: false if the service does not exist. It is tried again every minute.
    private func makeService(_ label: String) -> Bool {
        guard let tunnel = tunnels[label] else { return false }
        if tunnel.service != nil { return true }
        do {
            tunnels[label]?.service = try tunnel.wanted.service()
            return true
        } catch {
            failed(label, sentence(of: error))
            return false
        }
    }

    func declare(_ label: String) {
        guard let tunnel = tunnels[label] else { return }
        // Somebody has stopped the tunnel on the server. Only a person may start it again.
        if case .stopped = tunnel.state { return }
        guard makeService(label), keeper.link != nil else { return }
        tunnels[label]?.state = .waiting
        var call = LinkCall(.declare)
        call.label = label
        call.wanted = tunnel.wanted.wanted
        let wanted = tunnel.wanted
        keeper.call(call) { [weak self] answer in
            guard let self, self.tunnels[label]?.wanted == wanted else { return }
            guard answer.error == nil, let known = answer.tunnels?.first else {
                return self.failed(label, answer.error?.message ?? "the server returned no tunnel")
            }
            self.tunnels[label]?.known = known
            self.labels[known.id] = label
            self.start(label, known)
        }
    }

    private func start(_ label: String, _ known: DeclaredTunnel) {
        guard keeper.link != nil, let tunnel = tunnels[label] else { return }
        var call = LinkCall(.start, tunnel: known.id)
        call.options = tunnel.wanted.options
        let wanted = tunnel.wanted
        keeper.call(call) { [weak self] answer in
            guard let self, let now = self.tunnels[label], now.wanted == wanted, now.known?.id == known.id else {
                return
            }
            if let error = answer.error { return self.failed(label, error.message) }
            if now.state != .online {
                self.logger.info("tunnel online", metadata: ["tunnel": "\(label)", "url": "\(known.url)"])
            }
            self.tunnels[label]?.state = .online
            self.say()
            self.settledTunnels()
        }
    }

    /// Succeeds when the server has answered for every tunnel, or if there is no link.
    func settled() -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        settling.append(promise)
        settledTunnels()
        return promise.futureResult
    }

    private func settledTunnels() {
        guard keeper.link == nil || !tunnels.values.contains(where: { $0.state == .waiting }) else { return }
        for promise in settling { promise.succeed() }
        settling = []
        report()
    }

    private func failed(_ label: String, _ reason: String) {
        guard let tunnel = tunnels[label] else { return }
        if tunnel.state != .failed(reason) {
            logger.error("tunnel cannot be served", metadata: ["tunnel": "\(label)", "reason": "\(reason)"])
        }
        // The served tunnel would not match the file. It is ended, because an address without its new password would be
        // worse.
        end(tunnel)
        tunnels[label]?.known = nil
        tunnels[label]?.state = .failed(reason)
        say()
        settledTunnels()
    }

    /// Retries tunnels that could not be served. The cause may be gone: a disk that was mounted late, a plan, a pause,
    /// a name that was taken.
    func retryFailed() {
        for (label, tunnel) in tunnels {
            if case .failed = tunnel.state { declare(label) }
        }
    }
}

/// An error in a sentence for people.
func sentence(of error: any Error) -> String {
    (error as? ClientError).map { $0.message.text } ?? "\(error)"
}
