public import Client
import Link
import Logging
import Model
import NIOCore
import Wire

/// The tunnels of `agent.yml`: declared on the server, served, changed and given up.
extension AgentRunner {
    // MARK: Settings

    /// Serves what the settings say from now on. Tunnels that stay as they are notice nothing.
    public func take(_ settings: AgentSettings) {
        for (label, before) in tunnels where settings.tunnels[label] == nil { drop(label, before) }
        for (label, wanted) in settings.tunnels.sorted(by: { $0.key < $1.key }) {
            let service: TunnelRun.Service
            do { service = try wanted.service() } catch {
                fail(label, wanted, "\(sentence(of: error))")
                continue
            }
            guard let before = tunnels[label] else {
                tunnels[label] = LiveDeclaration(wanted: wanted, service: service)
                declare(label)
                continue
            }
            tunnels[label]?.wanted = wanted
            // Where connections go is this machine's own business.
            tunnels[label]?.service = service
            if case .stopped = before.state {
                tunnels[label]?.state = .waiting
                declare(label)
                continue
            }
            if before.wanted == wanted && before.state == .online { continue }
            if before.state != .online || before.wanted.wanted != wanted.wanted || before.known == nil {
                end(before)
                declare(label)
            } else if before.wanted.options != wanted.options, let known = before.known {
                start(label, known)
            }
        }
        say()
    }

    private func fail(_ label: String, _ wanted: AgentTunnel, _ reason: String) {
        if let before = tunnels[label] { end(before) }
        tunnels[label] = LiveDeclaration(
            wanted: wanted, service: .socket(host: "", port: 0, tls: nil, sendsProxyHeader: false),
            state: .failed(reason))
        logger.error("tunnel cannot be served", metadata: ["tunnel": "\(label)", "reason": "\(reason)"])
    }

    private func drop(_ label: String, _ tunnel: LiveDeclaration) {
        end(tunnel)
        tunnels[label] = nil
        logger.info("tunnel no longer served", metadata: ["tunnel": "\(label)"])
    }

    /// Its connections end; on the server it stays the machine's.
    private func end(_ tunnel: LiveDeclaration) {
        guard let known = tunnel.known else { return }
        labels[known.id] = nil
        if tunnel.state == .online { keeper.call(LinkCall(.stop, tunnel: known.id)) { _ in } }
    }

    // MARK: Serving

    func declare(_ label: String) {
        guard keeper.link != nil, let tunnel = tunnels[label] else { return }
        // Somebody has stopped it on the server; only a person starts it again.
        if case .stopped = tunnel.state { return }
        tunnels[label]?.state = .waiting
        var call = LinkCall(.declare)
        call.label = label
        call.wanted = tunnel.wanted.wanted
        let wanted = tunnel.wanted
        keeper.call(call) { [weak self] answer in
            guard let self, self.tunnels[label]?.wanted == wanted else { return }
            guard answer.error == nil, let known = answer.tunnels?.first else {
                return self.refused(label, answer.error?.message ?? "the server names no tunnel")
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
            guard let self, self.tunnels[label]?.wanted == wanted else { return }
            if let error = answer.error { return self.refused(label, error.message) }
            if self.tunnels[label]?.state != .online {
                self.logger.info("tunnel online", metadata: ["tunnel": "\(label)", "url": "\(known.url)"])
            }
            self.tunnels[label]?.state = .online
            self.say()
            self.settledTunnels()
        }
    }

    /// When the server has answered for every tunnel, or there is no link.
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

    private func refused(_ label: String, _ reason: String) {
        if tunnels[label]?.state != .failed(reason) {
            logger.error("tunnel refused", metadata: ["tunnel": "\(label)", "reason": "\(reason)"])
        }
        // What the file says now is not what is served: rather nothing than an address without its new password.
        if let tunnel = tunnels[label], tunnel.state == .online { end(tunnel) }
        tunnels[label]?.state = .failed(reason)
        say()
        settledTunnels()
    }

    /// What the server refused may be good by now: a plan, a pause, a name that was taken.
    func retryFailed() {
        for (label, tunnel) in tunnels {
            guard case .failed = tunnel.state else { continue }
            if let service = try? tunnel.wanted.service() {
                tunnels[label]?.service = service
                declare(label)
            }
        }
    }
}

/// An error in a sentence for people.
func sentence(of error: any Error) -> String {
    (error as? ClientError).map { $0.message.text } ?? "\(error)"
}
