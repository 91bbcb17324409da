import Background
import Link
import Model
import NIOCore
import Sockets
import Telemetry
import TransportSecurity
import Wire

/// The server's side of one machine's link: the machine's identity and the tunnels it serves. It belongs to the link's event loop.
final class LinkConnection: LinkOwner {
    let server: TunnelServer
    /// Random. Sent in `WELCOME`.
    let id = RandomText.make(letters: 22)
    let loop: any EventLoop
    let address: String
    var link: LinkHandler?
    var session: (any LinkSession)?
    /// The session of an enrolled machine.
    var machine: (any MachineSession)?
    /// The peer's key, once the TLS handshake is complete.
    private let peerKey: () -> Fingerprint?
    /// The machine has announced that it stops.
    private var machineStops = false
    var instance = ""
    /// By the tunnel's id.
    var tunnels: [String: Served] = [:]
    var starting: Set<String> = []
    /// Tunnels of this link that were ended in the meantime.
    var cancelled: Set<String> = []
    var isEnded = false
    private var isDraining = false
    /// The number of changes to tunnel options, in the order in which the machine sent them.
    var changes = 0

    struct Served {
        let live: LiveTunnel
        /// The listener of a `tcp` tunnel.
        let port: PortListener?
    }

    /// - Parameter peerKey: the key that the machine presented in TLS, if any.
    init(server: TunnelServer, loop: any EventLoop, address: String, peerKey: @escaping () -> Fingerprint?) {
        self.peerKey = peerKey
        self.server = server
        self.loop = loop
        self.address = address
    }

    var bound: NIOLoopBound<LinkConnection> { NIOLoopBound(self, eventLoop: loop) }

    // MARK: Greeting

    func linkGreeted(_ hello: LinkHello, by link: LinkHandler) {
        self.link = link
        instance = hello.instance
        let (authority, address, bound, loop, id) = (server.authority, self.address, self.bound, self.loop, self.id)
        let isTaken: Bool
        // The database knows the machine with this key.
        if let key = peerKey()?.hexadecimal {
            isTaken = server.background.run {
                let admitted = await authority.admit(
                    machine: key, link: id, software: hello.software, from: address)
                loop.execute { bound.value.admitted(admitted, hello) }
            }
        } else if let token = hello.token {
            isTaken = server.background.run {
                let admitted = await authority.admit(token: token, from: address)
                loop.execute { bound.value.admitted(admitted, hello) }
            }
        } else {
            return refuse(LinkError(.unauthorized, "The connection has neither a token nor a certificate."))
        }
        if !isTaken { refuse(LinkError(.busy, "The server is overloaded; try again in a moment.")) }
    }

    private func admitted(_ result: Result<any LinkSession, LinkError>, _ hello: LinkHello) {
        guard !isEnded, let link else { return }
        switch result {
        case .failure(let error): refuse(error)
        case .success(let session):
            let handle = TunnelServer.LinkHandle(
                id: id, loop: loop, address: address, connection: bound, session: session)
            guard server.add(handle) else {
                return link.end(LinkError(.stopping, "The server is stopping."), retryAfter: 1000)
            }
            welcome(session, hello, by: link)
        }
    }

    private func admitted(_ result: Result<any MachineSession, LinkError>, _ hello: LinkHello) {
        guard case .success(let machine) = result else {
            if case .failure(let error) = result, !isEnded, link != nil { refuse(error) }
            return
        }
        guard !isEnded, let link else { return left(machine) }
        let handle = TunnelServer.LinkHandle(id: id, loop: loop, address: address, connection: bound, session: machine)
        let live = LiveMachine(
            link: handle, instance: instance, since: .now(), from: address, report: nil,
            name: machine.machineName)
        switch server.enter(machine.machineId, live) {
        case .isStopping: return link.end(LinkError(.stopping, "The server is stopping."), retryAfter: 1000)
        case .isHeld(let time, let isNew, let before):
            let error = LinkError(.duplicated, Self.duplicatedText)
            if let before { before.loop.execute { before.connection.value.cut(error) } }
            if isNew {
                let addresses = [address, before?.address ?? ""]
                server.background.run(isEssential: true) { await machine.isDuplicated(from: addresses) }
            }
            server.metrics.linksRefused.add()
            left(machine)
            return link.end(error, retryAfter: Int(time.nanoseconds / 1_000_000))
        case .replaces(let before):
            let from = address
            before.loop.execute {
                before.connection.value.cut(
                    LinkError(.replaced, "A newer connection of this machine took over, from \(from)."))
            }
        case .enters: break
        }
        self.machine = machine
        welcome(machine, hello, by: link)
        // If the link was revoked before it was registered here, the revocation did not find it.
        let bound = self.bound
        server.background.run(isEssential: true) { [loop] in
            guard await !machine.isStillGood() else { return }
            loop.execute {
                bound.value.cut(LinkError(.unauthorized, "\(machine.machineName) is no longer allowed to connect."))
            }
        }
    }

    static let duplicatedText =
        "This machine's key is on two machines, which disconnect each other. Run 'postern machine enroll --new-key' on one of them."

    private func welcome(_ session: any LinkSession, _ hello: LinkHello, by link: LinkHandler) {
        self.session = session
        server.metrics.links.add(1)
        let budget = server.budget(of: session.organisationId)
        link.engine.use(CreditBudget(limit: budget.limit, within: budget))
        link.welcome(
            LinkWelcome(
                software: server.configuration.software, link: id, maxStreams: 0, spread: server.spread,
                nextKey: server.configuration.nextLinkKey), to: hello)
    }

    /// Nobody waits for this. A server that is stopping stores nothing: its next start finds the same state.
    private func left(_ machine: any MachineSession) {
        guard !server.isStopping else { return }
        let isFinal = machineStops
        let other = server.link(of: machine.machineId)
        server.background.run(isEssential: true) { await machine.linkEnded(isFinal: isFinal, other: other) }
    }

    func linkGoesAway(_ reason: LinkGoAway, by link: LinkHandler) {
        machineStops = reason.code == LinkError.Code.stopping.rawValue
    }

    private func refuse(_ error: LinkError) {
        server.metrics.linksRefused.add()
        server.log.linkRefused(error.message)
        link?.end(error)
    }

    // MARK: Streams

    /// Machines open no streams in this version. `WELCOME` says so.
    func linkOpened(_ stream: LinkStream, by link: LinkHandler) {
        link.reject(
            stream, LinkRejection(code: "unknown", message: "This server does not accept streams from machines."))
    }

    // MARK: The end of the link

    /// Closes the link now and sends the reason.
    func cut(_ error: LinkError) { link?.end(error) }

    /// The server is stopping: current work may finish, and nothing new begins.
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

    /// How long current requests have to finish when the server stops.
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
        if let machine {
            _ = server.leave(machine.machineId, link: id)
            left(machine)
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
