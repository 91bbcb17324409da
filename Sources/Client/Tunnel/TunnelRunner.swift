import Link
import Model
import NIOCore
import NIOPosix
import Outbound
import TransportSecurity
import UnixSignals
import Wire

/// Keeps a link to the server and serves one tunnel over it, on one event loop.
final class TunnelRunner: LinkOwner {
    /// All streams together may hold this much, in bytes.
    private static let memoryBytes = 256 << 20
    private static let streamLimit = 10_000
    private static let connectTimeout = TimeAmount.seconds(10)
    /// From the first packet to the answer to `tunnel.start`.
    private static let startTimeout = TimeAmount.seconds(20)
    /// How long the server may take to hear that we stop.
    private static let stopTimeout = TimeAmount.seconds(2)

    private let request: TunnelRun.Request
    private var tunnel: TunnelResource
    private let api: APIClient
    private let token: String
    private let tls: TLSContext
    private let software: String
    private let loop: any EventLoop
    private let finished: EventLoopPromise<Void>
    private let instance = RandomText.make(letters: 22)
    private let display: TunnelDisplay
    private let budget = CreditBudget(limit: TunnelRunner.memoryBytes)
    private var link: LinkHandler?
    private var channel: (any Channel)?
    private var backoff = LinkBackoff()
    private var startCall: UInt32?
    private var stopCall: UInt32?
    private var deadline: Scheduled<Void>?
    private var isOnline = false
    private var wasOnline = false
    private var isOver = false
    private var isStopping = false
    /// What the server said before it ended the link.
    private var goAway: LinkGoAway?
    private var signals: Task<Void, Never>?

    init(
        _ request: TunnelRun.Request, tunnel: TunnelResource, api: APIClient, token: String, tls: TLSContext,
        software: String, loop: any EventLoop
    ) {
        self.request = request
        self.tunnel = tunnel
        self.api = api
        self.token = token
        self.tls = tls
        self.software = software
        self.loop = loop
        finished = loop.makePromise(of: Void.self)
        display = TunnelDisplay(request, loop: loop)
    }

    func start() -> EventLoopFuture<Void> {
        trapSignals()
        display.start()
        connect()
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

    private func connect() {
        guard !isOver else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        deadline = loop.assumeIsolated().scheduleTask(in: Self.startTimeout) {
            bound.value.channel?.close(promise: nil)
            bound.value.lost("no answer within 20 s")
        }
        let opened: EventLoopFuture<NIOLoopBound<(LinkHandler, any Channel)>>
        do {
            let connector = try Connector.ofEnvironment(on: loop, connectTimeout: Self.connectTimeout)
            // Several addresses may be tried at once, each with handlers of its own; one of them is the link.
            opened = connector.connect(host: api.address.host, port: api.address.port, tls: tls) { channel in
                let runner = bound.value
                try LinkSocket.prepare(channel)
                let engine = LinkEngine(
                    .init(side: .machine, maxStreams: Self.streamLimit, opensPerSecond: 100_000), budget: runner.budget,
                    now: .now())
                let handler = LinkHandler(engine, owner: runner)
                try channel.pipeline.syncOperations.addHandler(handler)
                return NIOLoopBound((handler, channel), eventLoop: channel.eventLoop)
            }
        } catch {
            return fail(error)
        }
        opened.hop(to: loop).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let made):
                let (handler, channel) = made.value
                guard !self.isOver, self.deadline != nil else { return channel.close(promise: nil) }
                self.link = handler
                self.channel = channel
                handler.greet(LinkHello(software: self.software, token: self.token, instance: self.instance))
            case .failure(let error): self.lost(describe(error))
            }
        }
    }

    func linkWelcomed(_ welcome: LinkWelcome, by link: LinkHandler) {
        link.tickLater()
        startTunnel()
    }

    private func startTunnel() {
        var call = TunnelCall(.start, tunnel: tunnel.id)
        call.options = request.options
        call.options?.reportsRequests = request.kind == .http
        startCall = link?.call(JSONText.encode(call))
    }

    func linkAnswered(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        guard let answer = try? JSONText.decode(TunnelAnswer.self, from: json) else { return }
        if number == stopCall { return finish() }
        guard number == startCall else { return }
        startCall = nil
        guard let error = answer.error else { return started() }
        if error.statusCode == 404 { return createAgain() }
        // A server that is busy will not be for long; and whoever has paused it while it ran may resume it.
        if error.statusCode == 503 || error.code == "tunnel_paused" && wasOnline {
            return link.end(LinkError(.closed, error.message))
        }
        fail(ClientError("\(error.message)"))
    }

    private func started() {
        deadline?.cancel()
        backoff.reset()
        isOnline = true
        wasOnline = true
        display.online(
            tunnel, roundTrip: link?.engine.roundTrip,
            connections: { [weak self] in
                self?.link?.engine.streamCount ?? 0
            })
    }

    /// The name was released while this machine was away: it is taken again.
    private func createAgain() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let (api, loop) = (self.api, self.loop)
        let wanted = NewTunnel(kind: request.kind, name: request.name, port: request.port)
        Task {
            do {
                let tunnel = try await api.createTunnel(wanted)
                loop.execute {
                    bound.value.tunnel = tunnel
                    bound.value.startTunnel()
                }
            } catch { loop.execute { bound.value.fail(error) } }
        }
    }

    // MARK: Streams

    func linkOpened(_ stream: LinkStream, by link: LinkHandler) {
        guard stream.open.kind == "tunnel", stream.open.tunnel == tunnel.id, !isStopping else {
            return link.reject(
                stream, LinkRejection(code: "unknown", message: "This command does not serve that tunnel."))
        }
        ServiceConnection.open(stream, of: link, to: request.service, on: loop)
    }

    // MARK: Calls

    func linkCalled(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        link.answer(number, JSONText.encode(TunnelAnswer()))
        guard let call = try? JSONText.decode(TunnelCall.self, from: json) else { return }
        switch call.call {
        case .requests: display.requests(call.requests ?? [], dropped: call.dropped ?? 0)
        case .ended: fail(ClientError("\(tunnel.url) has ended: \(call.reason ?? "")"))
        case .start, .stop: break
        }
    }

    // MARK: The end

    func linkGoesAway(_ reason: LinkGoAway, by link: LinkHandler) {
        guard link === self.link else { return }
        goAway = reason
        // New streams would be refused; a fresh link takes them while this one's end.
        if link.engine.streamCount == 0 { channel?.close(promise: nil) }
    }

    func linkFailed(_ error: any Error, by link: LinkHandler) {
        guard !isOver, !isOnline else { return }
        if let error = error as? TLSError, error.code == .untrusted { return fail(ClientError("\(error.message)")) }
    }

    func linkEnded(_ error: LinkError?, by link: LinkHandler) {
        // One of those that lost the race for the connection.
        guard link === self.link else { return }
        let reason = goAway
        goAway = nil
        if isStopping { return finish() }
        if let reason, reason.retryAfter == nil, reason.code != LinkError.Code.stopping.rawValue {
            return fail(ClientError("\(reason.message)"))
        }
        lost(reason?.message ?? error?.message ?? "the connection ended", retryAfter: reason?.retryAfter)
    }

    /// Tries again. Each loss counts once.
    private func lost(_ reason: String, retryAfter: Int? = nil) {
        guard !isOver, deadline != nil || isOnline else { return }
        deadline?.cancel()
        deadline = nil
        link = nil
        channel = nil
        if isStopping { return finish() }
        let wait = backoff.next(retryAfter: retryAfter)
        display.offline(reason, retryIn: wait)
        isOnline = false
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.assumeIsolated().scheduleTask(in: wait) { bound.value.connect() }
    }

    /// A second time, it does not wait for the server.
    private func stop() {
        guard !isStopping, let link, isOnline else { return finish() }
        isStopping = true
        stopCall = link.call(JSONText.encode(TunnelCall(.stop, tunnel: tunnel.id)))
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.assumeIsolated().scheduleTask(in: Self.stopTimeout) { bound.value.finish() }
    }

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

    /// A reader that reads nothing does not hold up the end.
    private func end() -> EventLoopFuture<Void> {
        signals?.cancel()
        deadline?.cancel()
        channel?.close(promise: nil)
        let ended = loop.makePromise(of: Void.self)
        display.close().whenComplete { _ in ended.succeed() }
        loop.assumeIsolated().scheduleTask(in: Self.stopTimeout) { ended.succeed() }
        return ended.futureResult
    }
}

/// Waits between attempts: random from the start, so that all machines of a server that restarts do not come at once.
struct LinkBackoff {
    private static let shortest: Int64 = 200
    private static let longest: Int64 = 20_000
    private var attempt = 0

    mutating func reset() { attempt = 0 }

    /// - Parameter retryAfter: what the server asks for, in milliseconds.
    mutating func next(retryAfter: Int?) -> TimeAmount {
        let most = min(Self.longest, Self.shortest << min(attempt, 7))
        attempt += 1
        return .milliseconds(Int64(retryAfter ?? 0) + Int64.random(in: 0...most))
    }
}
