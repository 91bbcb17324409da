import HTTP1
import Link
import NIOCore
import Telemetry
import TransportSecurity

extension VisitorHandler {
    // MARK: Answers

    /// Whether the next request begins right after this head.
    func endsCleanly(_ head: RequestHead) -> Bool {
        head.keepsAlive && head.body == .none && !isStopping && !inputIsFinished
    }

    func answer(_ answer: EdgeAnswer, to head: RequestHead?, closes: Bool? = nil) {
        let closes = closes ?? !(head.map(endsCleanly) ?? false)
        write(answer.bytes(to: head, configuration: server.configuration, closes: closes), thenCloses: closes)
    }

    func write(_ bytes: ByteBuffer, thenCloses closes: Bool) {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: written {})
        guard !closes else { return close() }
        next()
        process()
    }

    /// A promise for a write. The write is counted as pending until it has been sent.
    /// - Parameter then: runs when the write was sent, or never will be.
    func written(_ then: @escaping () -> Void) -> EventLoopPromise<Void>? {
        guard let context else { return nil }
        pendingWrites += 1
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in
            self.pendingWrites -= 1
            self.flushedAt = .now()
            then()
            self.closeIfFlushed()
        }
        return promise
    }

    func closeIfFlushed() {
        guard let mode = closesWhenFlushed, pendingWrites == 0 else { return }
        closesWhenFlushed = nil
        context?.close(mode: mode, promise: nil)
    }

    /// Waits for the next request.
    func next() {
        state = .head
        setDeadline(.idle)
    }

    /// A response is complete.
    /// - Parameter keeps: another request may follow.
    func exchangeEnded(keeps: Bool) {
        guard keeps, !isStopping, !inputIsFinished else { return close() }
        next()
        process()
    }

    /// Closes the connection after everything has been sent.
    func close() {
        state = .closing
        setDeadline(.flush)
        closesWhenFlushed = .all
        closeIfFlushed()
    }

    /// A response that has begun cannot be finished. The visitor must not take it for complete: no last chunk, no close_notify, and RST.
    func abort() {
        guard let context else { return }
        state = .closing
        clock.stop()
        context.channel.resetsWhenClosed()
        context.channel.triggerUserOutboundEvent(ImmediateClose(), promise: nil)
    }

    // MARK: Both directions

    func splice(_ service: ServiceStream) {
        state = .spliced(service)
        service.user = self
        clock.clear()
        process()
        if inputIsFinished { service.finish() }
    }

    func spliceIn(_ service: ServiceStream) {
        let bytes = input
        input = ByteBuffer()
        attached?.count(bytesIn: bytes.readableBytes, bytesOut: 0)
        service.write(bytes)
    }

    // MARK: Deadlines

    func setDeadline(_ kind: VisitorClock.Kind) {
        guard let context else { return }
        if let delay = clock.set(kind, now: .now()) { startTimer(delay, context) }
    }

    func clearDeadline() { clock.clear() }

    func startTimer(_ delay: NIODeadline, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        clock.timer = context.eventLoop.scheduleTask(deadline: delay) { bound.value.timerFired() }
    }

    func timerFired() {
        guard let context else { return }
        switch clock.fired(now: .now()) {
        case .nothing: break
        case .again(let deadline): startTimer(deadline, context)
        case .passed(let kind): passed(kind)
        }
    }

    /// A visitor that reads something from time to time gets its whole response. A visitor that reads nothing is disconnected.
    func waitForFlush(_ kind: VisitorClock.Kind) {
        guard NIODeadline.now() - flushedAt < kind.time else {
            server.metrics.visitorsSlow.add()
            return abort()
        }
        setDeadline(kind)
    }

    func passed(_ kind: VisitorClock.Kind) {
        switch kind {
        case .idle, .firstRequest:
            guard case .head = state else { return }
            if pendingWrites > 0 { return waitForFlush(.idle) }
            close()
        case .flush: if pendingWrites > 0 { waitForFlush(.flush) }
        case .head:
            server.metrics.visitorsSlow.add()
            answer(.slow, to: nil, closes: true)
        case .content:
            // The delay is caused by the service.
            if isReadHeld { return setDeadline(.content) }
            server.metrics.visitorsSlow.add()
            if case .exchange(let exchange) = state { exchange.visitorIsSlow() }
        case .answer: if case .exchange(let exchange) = state { exchange.serviceIsLate() }
        }
    }
}

// MARK: The service's side of a splice

extension VisitorHandler: ServiceStreamUser {
    func serviceReceived(_ bytes: ByteBuffer) {
        guard let context, case .spliced(let service) = state else { return }
        let count = bytes.readableBytes
        attached?.count(bytesIn: 0, bytesOut: count)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: written { service.consume(count) })
    }

    func serviceFinished() {
        closesWhenFlushed = inputIsFinished ? .all : .output
        closeIfFlushed()
    }

    func serviceFailed(_ failure: ServiceFailure) { abort() }

    func serviceWritable() { readOn() }
}
