import Background
import Link
import Model
import NIOCore
import Wire

/// The requests of an enrolled machine to its server.
extension LinkConnection {
    func machineCalled(_ call: LinkCall, _ number: UInt32) {
        guard let machine else {
            return answer(
                number,
                TunnelRefusal(403, code: "not_allowed", "Only an enrolled machine can call \(call.call.rawValue)."))
        }
        let server = self.server
        switch call.call {
        case .report:
            // The page shows the last report. The response confirms that it arrived.
            if let report = call.report, report.isPlausible {
                server.reported(report, by: machine.machineId, link: id)
            }
            var said = LinkAnswer()
            said.machine = server.name(of: machine.machineId) ?? machine.machineName
            link?.answer(number, JSONText.encode(said))
        case .declare:
            guard let wanted = call.wanted, let label = call.label else {
                return answer(number, TunnelRefusal(400, code: "bad_request", "tunnel.declare needs label and wanted."))
            }
            inBackground(number) {
                await machine.declare(label, wanted).map { tunnel, known in
                    // Visitors are told that the machine is away until the tunnel is served.
                    if let name = tunnel.name { server.know(name, known) }
                    return [server.completed(tunnel)]
                }
            }
        case .declared:
            inBackground(number) { await machine.declared(after: call.tunnel).map { $0.map(server.completed) } }
        case .release:
            inBackground(number) {
                await machine.release(tunnel: call.tunnel).map { tunnel in
                    server.end(id: tunnel.id, reason: "The machine has released it.")
                    if let name = tunnel.name { server.forget(name: name) }
                    return nil
                }
            }
        case .rekey:
            guard let key = MachineKey.fingerprint(certificate: call.certificate ?? "") else {
                return answer(
                    number, TunnelRefusal(400, code: "bad_request", "machine.rekey needs a self-signed certificate."))
            }
            inBackground(number) { await Self.result(machine.rekey(to: key)) }
        case .start, .stop, .ended, .requests: break
        }
    }

    private static func result(_ refusal: TunnelRefusal?) -> Result<[DeclaredTunnel]?, TunnelRefusal> {
        refusal.map { .failure($0) } ?? .success(nil)
    }

    private func inBackground(
        _ number: UInt32, _ work: @escaping @Sendable () async -> Result<[DeclaredTunnel]?, TunnelRefusal>
    ) {
        let (bound, loop) = (self.bound, self.loop)
        let isTaken = server.background.run {
            let result = await work()
            loop.execute { bound.value.answer(number, result) }
        }
        if !isTaken {
            answer(number, TunnelRefusal(503, code: "busy", "The server is overloaded; try again in a moment."))
        }
    }

    private func answer(_ number: UInt32, _ result: Result<[DeclaredTunnel]?, TunnelRefusal>) {
        var answer = LinkAnswer()
        switch result {
        case .success(let tunnels): answer.tunnels = tunnels
        case .failure(let refusal): answer.error = refusal.resource
        }
        link?.answer(number, JSONText.encode(answer))
    }
}

extension TunnelServer {
    /// Adds the address that visitors open.
    func completed(_ tunnel: DeclaredTunnel) -> DeclaredTunnel {
        var tunnel = tunnel
        tunnel.url = url(name: tunnel.name, port: tunnel.port, isHTTP: tunnel.kind == .http)
        return tunnel
    }
}
