package import Link
import Model
package import NIOCore
import Outbound
package import TransportSecurity
package import Wire

/// What a link tells whoever keeps it, on the link's event loop.
package protocol LinkKeeperOwner: AnyObject {
    /// The server has welcomed this machine. Say ``LinkKeeper/settled()`` when what the link is for works.
    func linkUp(_ link: LinkHandler)
    /// There is no link, and the next try begins after a while.
    func linkLost(_ reason: String, retryIn wait: TimeAmount)
    /// The server does not let this machine in.
    /// - Returns: when to try again; nil for never. The keeper says nothing more then.
    func linkRefused(_ reason: LinkGoAway) -> TimeAmount?
    /// No way leads to a server with the key that is expected.
    /// - Returns: whether to go on trying.
    func linkUntrusted(_ reason: String) -> Bool
    func linkOpened(_ stream: LinkStream, by link: LinkHandler)
    func linkCalled(_ call: LinkCall, _ number: UInt32, by link: LinkHandler)
    /// After ``LinkKeeper/stop(saying:)``: the connection is closed.
    func linkStopped()
}

/// Keeps a link to a server: opens it by whichever way leads out, and again whenever it is lost. Everything happens on one event loop.
package final class LinkKeeper: LinkOwner {
    package struct Configuration {
        package var address: ServerAddress
        /// Of the link: the server's key, and this machine's where it is enrolled.
        package var tls: TLSContext
        /// Of a person, where no key says who this is.
        package var token: String?
        package var software: String
        /// All streams together may hold this much, in bytes.
        package var memoryBytes = 256 << 20

        package init(address: ServerAddress, tls: TLSContext, token: String?, software: String) {
            self.address = address
            self.tls = tls
            self.token = token
            self.software = software
        }
    }

    private static let streamLimit = 10_000
    /// From the first packet of a way to `WELCOME`.
    private static let openTimeout = TimeAmount.seconds(20)
    /// From `WELCOME` to ``settled()``.
    private static let settleTimeout = TimeAmount.seconds(20)
    /// A link that lives this long is no sign of a network that cuts links.
    private static let goodLife = TimeAmount.seconds(30)
    /// Between two tries of the straight way while another one works.
    private static let straightPause = TimeAmount.hours(1)
    /// How long the server may take to hear that we stop.
    private static let stopTimeout = TimeAmount.seconds(2)
    /// Calls under way at once; the protocol ends a link at 17.
    private static let callsAtOnce = 8
    /// Calls that wait for their turn.
    private static let callLimit = 4096

    private var configuration: Configuration
    private let loop: any EventLoop
    private let instance = RandomText.make(letters: 22)
    private let budget: CreditBudget
    /// To be set before ``start()``; nil when it has lost interest.
    package weak var owner: (any LinkKeeperOwner)?
    /// The open one.
    package private(set) var link: LinkHandler?
    /// The way that the open link takes, or that last worked.
    package private(set) var way = LinkWay.tls
    /// Those that are still to be tried in this round.
    private var ways: [LinkWay] = []
    private var untrusted: String?
    private var failures: [String] = []
    /// A link that is being opened.
    private var opening: LinkHandler?
    private var channel: (any Channel)?
    private var attempt = 0
    private var backoff = LinkBackoff()
    private var spread = 0
    private var straightTriedAt = NIODeadline.now()
    private var welcomedAt = NIODeadline.now()
    /// The key that the server's links carry one day; nil where the present one stays.
    package private(set) var announcedKey: String?
    private var timer: Scheduled<Void>?
    private var goAway: LinkGoAway?
    private var isStopping = false
    private var isOver = false
    private var answers: [UInt32: (LinkAnswer) -> Void] = [:]
    private var waiting = CircularBuffer<(json: ByteBuffer, then: (LinkAnswer) -> Void)>()

    package init(_ configuration: Configuration, loop: any EventLoop) {
        self.configuration = configuration
        self.loop = loop
        budget = CreditBudget(limit: configuration.memoryBytes)
    }

    private var bound: NIOLoopBound<LinkKeeper> { NIOLoopBound(self, eventLoop: loop) }

    package func start() { beginRound() }

    // MARK: Opening

    private func beginRound() {
        guard !isOver, !isStopping else { return }
        // A WebSocket works nearly everywhere; whether the straight way does again is looked at now and then.
        if way != .tls, straightTriedAt + Self.straightPause < .now() { way = .tls }
        if way == .tls { straightTriedAt = .now() }
        ways = [way] + LinkWay.allCases.filter { $0 != way }
        untrusted = nil
        failures = []
        tryNext()
    }

    private func tryNext() {
        guard !isOver, !isStopping else { return }
        guard !ways.isEmpty else { return failedRound() }
        let way = ways.removeFirst()
        attempt += 1
        (goAway, failure) = (nil, nil)
        let (bound, attempt, budget) = (self.bound, self.attempt, self.budget)
        timer = loop.assumeIsolated().scheduleTask(in: Self.openTimeout) {
            bound.value.gaveUp(attempt, way, "no answer within \(Self.openTimeout.nanoseconds / 1_000_000_000) s")
        }
        let dialer = LinkDialer(address: configuration.address, tls: configuration.tls, loop: loop)
        // Several addresses may be tried at once, each with handlers of its own; one of them is the link.
        let opened = dialer.connect(way) { channel in
            try LinkSocket.prepare(channel)
            let engine = LinkEngine(
                .init(side: .machine, maxStreams: Self.streamLimit, opensPerSecond: 100_000), budget: budget,
                now: .now())
            let handler = LinkHandler(engine, owner: bound.value)
            try channel.pipeline.syncOperations.addHandler(handler)
            return NIOLoopBound((handler, channel), eventLoop: channel.eventLoop)
        }
        opened.hop(to: loop).assumeIsolated().whenComplete { result in
            guard attempt == self.attempt, !self.isOver, !self.isStopping else {
                if case .success(let made) = result { made.value.1.close(promise: nil) }
                return
            }
            switch result {
            case .success(let made):
                let (handler, channel) = made.value
                self.opening = handler
                self.channel = channel
                self.openingWay = way
                handler.greet(
                    LinkHello(
                        software: self.configuration.software, token: self.configuration.token,
                        instance: self.instance))
            case .failure(let error): self.gaveUp(attempt, way, describe(error), error as? TLSError)
            }
        }
    }

    private var openingWay = LinkWay.tls

    /// This way does not lead out; the next one may.
    private func gaveUp(_ attempt: Int, _ way: LinkWay, _ reason: String, _ error: TLSError? = nil) {
        guard attempt == self.attempt, link == nil else { return }
        self.attempt += 1
        timer?.cancel()
        channel?.close(promise: nil)
        (channel, opening) = (nil, nil)
        if error?.code == .untrusted { untrusted = reason }
        failures.append("\(way.text): \(reason)")
        tryNext()
    }

    private func failedRound() {
        if let untrusted, owner?.linkUntrusted(untrusted) != true {
            isOver = true
            return
        }
        // The first way is what people know; others are there for closed networks.
        let reasons = Set(failures.map { $0.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? $0 })
        wait(reasons.count == 1 ? reasons.first ?? "" : failures.joined(separator: "; "), retryAfter: nil)
    }

    private func wait(_ reason: String, retryAfter: Int?) {
        retry(in: backoff.next(retryAfter: retryAfter), reason)
    }

    private func retry(in time: TimeAmount, _ reason: String) {
        owner?.linkLost(reason, retryIn: time)
        guard !isOver, !isStopping else { return }
        let bound = self.bound
        timer = loop.assumeIsolated().scheduleTask(in: time) { bound.value.beginRound() }
    }

    package func linkWelcomed(_ welcome: LinkWelcome, by link: LinkHandler) {
        guard link === opening else { return }
        timer?.cancel()
        (self.link, opening, way, spread) = (link, nil, openingWay, welcome.spread)
        link.tickLater()
        welcomedAt = .now()
        announcedKey = welcome.nextKey
        let bound = self.bound
        timer = loop.assumeIsolated().scheduleTask(in: Self.settleTimeout) {
            bound.value.link?.end(
                LinkError(.closed, "no answer within \(Self.settleTimeout.nanoseconds / 1_000_000_000) s"))
        }
        owner?.linkUp(link)
    }

    /// What the link is for works.
    package func settled() { timer?.cancel() }

    // MARK: Calls

    /// Asks the server something, in turn with others. Where the link is lost meanwhile, nothing answers.
    package func call(_ call: LinkCall, then: @escaping (LinkAnswer) -> Void) {
        let json = JSONText.encode(call)
        let problem =
            json.readableBytes > LinkLimits.callBytes
            ? "these options are longer than the 64 KiB that a link carries; shorten its lists"
            : waiting.count >= Self.callLimit ? "too many questions to the server wait already" : nil
        if let problem {
            return then(LinkAnswer(error: ErrorResource(statusCode: 413, message: problem, code: "too_long")))
        }
        waiting.append((json, then))
        sendCalls()
    }

    private func sendCalls() {
        while answers.count < Self.callsAtOnce, let link, let next = waiting.first {
            guard let number = link.call(next.json) else { return }
            waiting.removeFirst()
            answers[number] = next.then
        }
    }

    package func linkAnswered(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        guard link === self.link, let then = answers.removeValue(forKey: number) else { return }
        do { then(try JSONText.decode(LinkAnswer.self, from: json)) } catch {
            link.end(LinkError(.protocolError, "The server's answer cannot be read: \(error)."))
        }
        sendCalls()
    }

    package func linkCalled(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        // A call of a newer server is answered, and means nothing here.
        guard link === self.link, let call = try? JSONText.decode(LinkCall.self, from: json) else {
            return link.answer(number, JSONText.encode(LinkAnswer()))
        }
        owner?.linkCalled(call, number, by: link)
    }

    package func linkOpened(_ stream: LinkStream, by link: LinkHandler) { owner?.linkOpened(stream, by: link) }

    // MARK: The end

    package func linkGoesAway(_ reason: LinkGoAway, by link: LinkHandler) {
        guard link === self.link || link === opening else { return }
        goAway = reason
        // Streams under way may end; the link that comes then is a fresh one.
        if link.engine.streamCount == 0 { channel?.close(promise: nil) }
    }

    package func linkFailed(_ error: any Error, by link: LinkHandler) {
        guard link === opening || link === self.link, let error = error as? TLSError else { return }
        failure = error
    }

    /// What TLS said before the connection ended.
    private var failure: TLSError?

    package func linkEnded(_ error: LinkError?, by link: LinkHandler) {
        // One of those that lost the race for the connection, or one that was given up.
        guard link === self.link || link === opening else { return }
        let (reason, tls, wasOpen) = (goAway, failure, link === self.link)
        (goAway, failure, channel, self.link, opening) = (nil, nil, nil, nil, nil)
        answers = [:]
        waiting = []
        timer?.cancel()
        if isStopping { return over() }
        guard !isOver else { return }
        // Short waits again, behind a link that has lived for a while or that the server has ended in order.
        let livedLong = wasOpen && welcomedAt + Self.goodLife < .now()
        if livedLong || wasOpen && reason != nil { backoff.reset(spread: spread) }
        if let reason {
            let isFinal = reason.retryAfter == nil && reason.code != LinkError.Code.stopping.rawValue
            guard isFinal else { return wait(reason.message, retryAfter: reason.retryAfter) }
            guard let wait = owner?.linkRefused(reason) else {
                isOver = true
                return
            }
            return retry(in: wait, reason.message)
        }
        let words = tls?.message ?? error?.message ?? "the connection ended"
        if wasOpen {
            // Some networks let a link begin and cut it then.
            if !livedLong { way = LinkWay.allCases.first { $0 != way } ?? way }
            return wait(words, retryAfter: nil)
        }
        // TLS failed, or the connection ended before the server said anything: another way may lead there.
        if tls?.code == .untrusted { untrusted = words }
        failures.append("\(openingWay.text): \(words)")
        tryNext()
    }

    /// Takes another key for the next link.
    package func use(_ tls: TLSContext) { configuration.tls = tls }

    /// Ends the link and opens another one at once.
    package func reconnect(as tls: TLSContext) {
        use(tls)
        guard let link else { return }
        link.end(LinkError(.closed, "This machine has another key now."))
    }

    /// Ends the link for good. A second time, it does not wait for the server.
    /// - Parameter reason: what the server hears.
    package func stop(saying reason: String) {
        guard !isStopping, let link else { return over() }
        isStopping = true
        timer?.cancel()
        let bound = self.bound
        loop.assumeIsolated().scheduleTask(in: Self.stopTimeout) { bound.value.over() }
        link.end(LinkError(.stopping, reason))
    }

    private func over() {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        channel?.close(promise: nil)
        owner?.linkStopped()
    }
}
