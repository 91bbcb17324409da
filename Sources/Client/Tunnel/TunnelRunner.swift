import Link
import Model
import NIOCore
import TransportSecurity
import UnixSignals
import Wire

/// Serves one tunnel over a link, on one event loop.
final class TunnelRunner: LinkKeeperOwner {
    /// How long the server may take to receive our reason for stopping.
    private static let stopTimeout = TimeAmount.seconds(2)

    private let request: TunnelRun.Request
    private var tunnel: TunnelResource
    private let api: APIClient
    private let loop: any EventLoop
    private let finished: EventLoopPromise<Void>
    private let display: TunnelDisplay
    private let keeper: LinkKeeper
    private var wasOnline = false
    private var isOver = false
    private var isStopping = false
    private var signals: Task<Void, Never>?

    init(
        _ request: TunnelRun.Request, tunnel: TunnelResource, api: APIClient, token: String, tls: TLSContext,
        software: String, loop: any EventLoop
    ) {
        self.request = request
        self.tunnel = tunnel
        self.api = api
        keeper = LinkKeeper(.init(address: api.address, tls: tls, token: token, software: software), loop: loop)
        self.loop = loop
        finished = loop.makePromise(of: Void.self)
        display = TunnelDisplay(request, loop: loop)
    }

    func start() -> EventLoopFuture<Void> {
        trapSignals()
        display.start()
        keeper.owner = self
        keeper.start()
        return finished.futureResult
    }

    private func trapSignals() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let loop = self.loop
        signals = Task {
            for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
                loop.execute { bound.value.stop() }
            }
        }
    }

    // MARK: The link

    func linkUp(_ link: LinkHandler) { startTunnel(link) }

    private func startTunnel(_ link: LinkHandler) {
        var call = LinkCall(.start, tunnel: tunnel.id)
        call.options = request.options
        call.options?.reportsRequests = request.kind == .http
        keeper.call(call) { answer in self.started(answer.error, link) }
    }

    private func started(_ error: ErrorResource?, _ link: LinkHandler) {
        guard let error else {
            keeper.settled()
            wasOnline = true
            return display.online(
                tunnel, roundTrip: link.engine.roundTrip,
                connections: { [weak self] in
                    self?.keeper.link?.engine.streamCount ?? 0
                })
        }
        if error.statusCode == 404 { return createAgain(link) }
        // A busy server recovers soon, and a tunnel that was paused while it ran may be resumed.
        if error.statusCode == 503 || error.code == "tunnel_paused" && wasOnline {
            return link.end(LinkError(.closed, error.message))
        }
        fail(ClientError("\(error.message)"))
    }

    /// The name was released while this machine was away, so the tunnel is created again.
    private func createAgain(_ link: LinkHandler) {
        let bound = NIOLoopBound((self, link), eventLoop: loop)
        let (api, loop) = (self.api, self.loop)
        let wanted = NewTunnel(kind: request.kind, name: request.name, port: request.port)
        Task {
            do {
                let tunnel = try await api.createTunnel(wanted)
                loop.execute {
                    let (runner, link) = bound.value
                    runner.tunnel = tunnel
                    runner.startTunnel(link)
                }
            } catch { loop.execute { bound.value.0.fail(error) } }
        }
    }

    func linkLost(_ reason: String, retryIn wait: TimeAmount) { display.offline(reason, retryIn: wait) }

    func linkRefused(_ reason: LinkGoAway) -> TimeAmount? {
        fail(ClientError("\(reason.message)"))
        return nil
    }

    func linkUntrusted(_ reason: String) -> Bool {
        // If it worked before, a network in between may be the cause.
        if wasOnline { return true }
        fail(ClientError("\(reason)"))
        return false
    }

    // MARK: Streams

    func linkOpened(_ stream: LinkStream, by link: LinkHandler) {
        guard stream.open.kind == "tunnel", stream.open.tunnel == tunnel.id, !isStopping else {
            return link.reject(
                stream, LinkRejection(code: "unknown", message: "This command does not serve that tunnel."))
        }
        request.service.open(stream, of: link, on: loop)
    }

    // MARK: Calls

    func linkCalled(_ call: LinkCall, _ number: UInt32, by link: LinkHandler) {
        link.answer(number, JSONText.encode(LinkAnswer()))
        switch call.call {
        case .requests: display.requests(call.requests ?? [], dropped: call.dropped ?? 0)
        case .ended: fail(ClientError("\(tunnel.url) has ended: \(call.reason ?? "")"))
        default: break
        }
    }

    // MARK: Ending

    /// A second time, it does not wait for the server.
    private func stop() {
        guard !isStopping, wasOnline, keeper.link != nil else { return finish() }
        isStopping = true
        keeper.call(LinkCall(.stop, tunnel: tunnel.id)) { _ in self.finish() }
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.assumeIsolated().scheduleTask(in: Self.stopTimeout) { bound.value.finish() }
    }

    func linkStopped() {}

    private func finish() {
        guard !isOver else { return }
        isOver = true
        end().assumeIsolated().whenComplete { _ in self.finished.succeed() }
    }

    private func fail(_ error: any Error) {
        guard !isOver else { return }
        isOver = true
        end().assumeIsolated().whenComplete { _ in self.finished.fail(error) }
    }

    /// Does not wait for a reader that never reads.
    private func end() -> EventLoopFuture<Void> {
        signals?.cancel()
        keeper.stop(saying: "The command has ended.")
        let ended = loop.makePromise(of: Void.self)
        display.close().whenComplete { _ in ended.succeed() }
        loop.assumeIsolated().scheduleTask(in: Self.stopTimeout) { ended.succeed() }
        return ended.futureResult
    }
}
