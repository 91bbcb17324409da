package import Link
import Model
package import NIOCore
import Outbound
package import TransportSecurity
package import Wire

/// Handles the events of a link that is kept open, on the link's event loop.
package protocol LinkKeeperOwner: AnyObject {
    /// The server has accepted this machine. Call ``LinkKeeper/settled()`` once the services of the link work.
    func linkUp(_ link: LinkHandler)
    /// There is no link. The next attempt starts after the wait.
    func linkLost(_ reason: String, retryIn wait: TimeAmount)
    /// The server refuses this machine.
    /// - Returns: when to try again; nil for never. The keeper then sends no more events.
    func linkRefused(_ reason: LinkGoAway) -> TimeAmount?
    /// No path leads to a server with the expected key.
    /// - Returns: whether to continue trying.
    func linkUntrusted(_ reason: String) -> Bool
    func linkOpened(_ stream: LinkStream, by link: LinkHandler)
    func linkCalled(_ call: LinkCall, _ number: UInt32, by link: LinkHandler)
    /// The connection is closed, after ``LinkKeeper/stop(saying:)``.
    func linkStopped()
}

/// Keeps a link to a server open: opens it by any path that works, and reopens it whenever it is lost. Confined to one
/// event loop.
package final class LinkKeeper: LinkOwner {
    package struct Configuration {
        package var address: ServerAddress
        /// TLS of the link: the server's key, and this machine's key if it is enrolled.
        package var tls: TLSContext
        /// A person's token, if no key identifies the machine.
        package var token: String?
        package var software: String
        /// Memory that all streams together may use, in bytes.
        package var memoryBytes = 256 << 20

        package init(address: ServerAddress, tls: TLSContext, token: String?, software: String) {
            self.address = address
            self.tls = tls
            self.token = token
            self.software = software
        }
    }

    private static let streamLimit = 10_000
    /// Timeout from the first packet of a path to `WELCOME`.
    private static let openTimeout = TimeAmount.seconds(20)
    /// Timeout from `WELCOME` to ``settled()``.
    private static let settleTimeout = TimeAmount.seconds(20)
    /// If a link lives this long, the network is not one that cuts links.
    private static let goodLife = TimeAmount.seconds(30)
    /// Pause between two attempts of direct TLS while another path works.
    private static let straightPause = TimeAmount.hours(1)
    /// How long the server may take to receive our reason for stopping.
    private static let stopTimeout = TimeAmount.seconds(2)
    /// Maximum number of concurrent calls. The protocol ends a link at 17.
    private static let callsAtOnce = 8
    /// Maximum number of queued calls.
    private static let callLimit = 4096

    private var configuration: Configuration
    private let loop: any EventLoop
    private let instance = RandomText.make(letters: 22)
    private let budget: CreditBudget
    /// Set this before ``start()``; nil if the owner no longer needs the link.
    package weak var owner: (any LinkKeeperOwner)?
    /// The open link.
    package private(set) var link: LinkHandler?
    /// The path of the open link, or the one that last worked.
    package private(set) var way = LinkWay.tls
    /// The paths that were not yet tried in this round.
    private var ways: [LinkWay] = []
    private var untrusted: String?
    private var failures: [String] = []
    /// The link that is being opened.
    private var opening: LinkHandler?
    private var channel: (any Channel)?
    private var attempt = 0
    private var backoff = LinkBackoff()
    private var spread = 0
    private var straightTriedAt = NIODeadline.now()
    private var welcomedAt = NIODeadline.now()
    /// The key that the server's links will use later; nil if the key stays.
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
        // A WebSocket works nearly everywhere. From time to time, direct TLS is tried again.
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
            bound.value.gaveUp(attempt, way, "no response within \(Self.openTimeout.nanoseconds / 1_000_000_000) s")
        }
        let dialer = LinkDialer(address: configuration.address, tls: configuration.tls, loop: loop)
        // Several addresses may be tried at once, each with its own handlers. One of them becomes the link.
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

    /// This path does not work; the next one may.
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
        // The first path is the one that people know. The others are for restricted networks.
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
                LinkError(.closed, "no response within \(Self.settleTimeout.nanoseconds / 1_000_000_000) s"))
        }
        owner?.linkUp(link)
    }

    /// Called when the services of the link work.
    package func settled() { timer?.cancel() }

    // MARK: Calls

    /// Sends a call to the server, in turn with other calls. If the link is lost meanwhile, there is no answer.
    package func call(_ call: LinkCall, then: @escaping (LinkAnswer) -> Void) {
        let json = JSONText.encode(call)
        let problem =
            json.readableBytes > LinkLimits.callBytes
            ? "these options exceed the limit of 64 KiB; shorten the lists"
            : waiting.count >= Self.callLimit ? "too many requests to the server are pending" : nil
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
            link.end(LinkError(.protocolError, "The server's response cannot be read: \(error)."))
        }
        sendCalls()
    }

    package func linkCalled(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler) {
        // An unknown call of a newer server is answered and otherwise ignored.
        guard link === self.link, let call = try? JSONText.decode(LinkCall.self, from: json) else {
            return link.answer(number, JSONText.encode(LinkAnswer()))
        }
        owner?.linkCalled(call, number, by: link)
    }

    package func linkOpened(_ stream: LinkStream, by link: LinkHandler) { owner?.linkOpened(stream, by: link) }

    // MARK: Ending

    package func linkGoesAway(_ reason: LinkGoAway, by link: LinkHandler) {
        guard link === self.link || link === opening else { return }
        goAway = reason
        // Open streams may finish. Once the connection is closed, a new link is opened.
        if link.engine.streamCount == 0 { channel?.close(promise: nil) }
    }

    package func linkFailed(_ error: any Error, by link: LinkHandler) {
        guard link === opening || link === self.link, let error = error as? TLSError else { return }
        failure = error
    }

    /// The TLS error before the connection ended.
    private var failure: TLSError?

    package func linkEnded(_ error: LinkError?, by link: LinkHandler) {
        // Another connection attempt won, or this one was given up.
        guard link === self.link || link === opening else { return }
        let (reason, tls, wasOpen) = (goAway, failure, link === self.link)
        (goAway, failure, channel, self.link, opening) = (nil, nil, nil, nil, nil)
        answers = [:]
        waiting = []
        timer?.cancel()
        if isStopping { return over() }
        guard !isOver else { return }
        // Resets the waits after a link that has lived for a while or that the server has ended in order.
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
            // Some networks let a link start and then cut it.
            if !livedLong { way = LinkWay.allCases.first { $0 != way } ?? way }
            return wait(words, retryAfter: nil)
        }
        // TLS failed, or the connection ended before the server sent anything: another path may work.
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
        link.end(LinkError(.closed, "This machine's key was replaced."))
    }

    /// Ends the link permanently. A second call does not wait for the server.
    /// - Parameter reason: sent to the server.
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
