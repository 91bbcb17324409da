import Glibc
import HTTP1
import Link
import NIOCore
import Telemetry
import Wire

/// One request of a visitor and its response.
final class Exchange {
    /// The maximum number of bytes that are kept of a request that may be sent again.
    private static let retainedBytes = 64 << 10
    /// Methods that have the same effect if they are sent twice (RFC 9110, section 9.2.2).
    private static let idempotent: Set<String> = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]

    private let head: RequestHead
    private let host: String
    private let tunnel: LiveTunnel
    private unowned let visitor: VisitorHandler
    private var request: RequestForwarding
    private var response: ResponseForwarding
    private let edits: [HeaderRules]
    private let permit: RequestPermit
    private var service: ServiceStream?
    /// All bytes of the request sent so far. Nil if it cannot be sent again.
    private var sent: ByteBuffer?
    private var isSecondTry = false
    private var hasAnswer = false
    private var isOver = false
    private let startedAt = NIODeadline.now()
    private var bytesIn = 0
    private var bytesOut = 0

    /// - Parameters:
    ///   - gates: the policies that apply.
    ///   - permit: ended with the request.
    ///   - member: who has signed in.
    init(
        _ head: RequestHead, on tunnel: LiveTunnel, for visitor: VisitorHandler, gates: [PolicyGate],
        permit: RequestPermit, member: EdgeMember?
    ) {
        self.permit = permit
        edits = gates.compactMap(\.rules.responseHeaders)
        self.head = head
        self.tunnel = tunnel
        self.visitor = visitor
        host = head.host ?? ""
        var name = RequestForwarding.Visitor(address: visitor.visitor.address, host: host)
        if visitor.visitor.isTrustedProxy { name.forwardedFor = head.block.values(.xForwardedFor) }
        if let member {
            name.member = member.username
            name.identity = visitor.server.identities.token(for: member, host: host)
        }
        request = RequestForwarding(
            head, from: name, hostHeader: tunnel.options.hostHeader,
            dropsAuthorization: head.sendsPassword && gates.contains(where: \.rules.wantsPassword),
            edits: gates.compactMap(\.rules.requestHeaders))
        response = ResponseForwarding(to: head, host: host, edits: edits)
        if Self.idempotent.contains(head.method), !RequestForwarding.isWebSocket(head) { sent = ByteBuffer() }
    }

    var isRequestEnded: Bool { request.isEnded }

    var isWritable: Bool { service?.isWritable ?? false }

    // MARK: Request

    func begin() {
        // Counted immediately, so that nothing is lost if the process is killed.
        tunnel.count(bytesIn: head.block.bytes.readableBytes, bytesOut: 0)
        guard connect(fresh: false) else { return }
        send(request.headBytes)
        visitor.setDeadline(request.isEnded ? answerDeadline : .content)
        if !request.isEnded { forwardContent(&visitor.input) }
    }

    private var answerDeadline: VisitorClock.Kind {
        .answer(.seconds(Int64(min(max(tunnel.options.headTimeout ?? 30, 1), 3600))))
    }

    private func connect(fresh: Bool) -> Bool {
        if !fresh, let bound = visitor.bound {
            visitor.bound = nil
            if bound.isUsable {
                take(bound)
                return true
            }
        }
        do throws(LinkRejection) {
            take(try tunnel.service(peer: visitor.visitor.peer, host: host, fresh: fresh))
            return true
        } catch {
            answer(.busy)
            return false
        }
    }

    private func take(_ service: ServiceStream) {
        self.service = service
        service.user = self
    }

    private func send(_ bytes: ByteBuffer) {
        if let known = sent {
            sent = known.readableBytes + bytes.readableBytes <= Self.retainedBytes ? known : nil
            sent?.writeImmutableBuffer(bytes)
        }
        service?.write(bytes)
    }

    /// Passes on the received part of the request's content. The bytes after it are the next request.
    func forwardContent(_ input: inout ByteBuffer) {
        guard !isOver, !request.isEnded, input.readableBytes > 0 || head.body == .none else { return }
        let before = input.readableBytes
        var out: [ByteBuffer] = []
        do throws(HTTPMessageError) { try request.content(&input, into: &out) } catch {
            tunnel.metrics.requestsMalformed.add()
            // The service must not take an incomplete request for a complete one.
            service?.end(.cancelled)
            return hasAnswer ? finish { visitor.abort() } : answer(.badRequest(error), closes: true)
        }
        let count = before - input.readableBytes
        bytesIn += count
        tunnel.count(bytesIn: count, bytesOut: 0)
        for bytes in out { send(bytes) }
        visitor.setDeadline(request.isEnded ? answerDeadline : .content)
        if hasAnswer && request.isEnded { visitor.clearDeadline() }
    }

    // MARK: Ends

    func visitorIsSlow() {
        service?.end(.cancelled)
        hasAnswer ? finish { visitor.abort() } : answer(.slow, closes: true)
    }

    func serviceIsLate() {
        guard !hasAnswer else { return }
        tunnel.metrics.servicesLate.add()
        service?.end(.cancelled)
        answer(.late)
    }

    func tunnelEnded() {
        service?.end(.stopped)
        hasAnswer ? finish { visitor.abort() } : answer(.ended, closes: true)
    }

    /// The visitor has disconnected.
    func cancel() {
        guard !isOver else { return }
        isOver = true
        permit.end()
        service?.end(.cancelled)
        report(status: response.status)
    }

    private func finish(_ then: () -> Void) {
        guard !isOver else { return }
        isOver = true
        permit.end()
        report(status: response.status)
        then()
    }

    /// The edge answers in place of the service.
    private func answer(_ answer: EdgeAnswer, closes: Bool? = nil) {
        guard !isOver else { return }
        isOver = true
        // 502 and 504 mean that the service failed. Other answers say nothing about it.
        permit.end(failed: answer.status == 502 || answer.status == 504 ? true : nil)
        service?.end(.cancelled)
        tunnel.countRequest()
        report(status: answer.status)
        visitor.answer(answer, to: head, closes: closes ?? !(request.isEnded && head.keepsAlive))
    }

    private func report(status: Int) {
        if status >= 500 { tunnel.countError() }
        let path = head.target.prefix { $0 != "?" }
        let now = timeNow()
        let took = Int((NIODeadline.now() - startedAt).nanoseconds / 1_000_000)
        tunnel.answered(
            TunnelRequest(
                method: head.method, path: String(decoding: path.utf8.prefix(256), as: UTF8.self), status: status,
                milliseconds: took, bytesIn: bytesIn, bytesOut: bytesOut, from: visitor.visitor.address, at: now))
    }

    private func timeNow() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

// MARK: Answer

extension Exchange: ServiceStreamUser {
    func serviceReceived(_ bytes: ByteBuffer) {
        guard !isOver, let service else { return }
        let count = bytes.readableBytes
        // The service has started to process the request, whatever it has sent.
        sent = nil
        var out: [ByteBuffer] = []
        let steps: [ResponseForwarding.Step]
        do throws(HTTPMessageError) { steps = try response.receive(bytes, into: &out) } catch {
            tunnel.metrics.answersMalformed.add()
            service.end(.cancelled)
            return hasAnswer ? finish { visitor.abort() } : answer(.badAnswer)
        }
        if response.hasHead && !hasAnswer {
            hasAnswer = true
            permit.settle(failed: response.status >= 500)
            tunnel.countRequest()
            if request.isEnded { visitor.clearDeadline() }
            if response.droppedCookies > 0 { tunnel.metrics.cookiesDropped.add(response.droppedCookies) }
        }
        write(out, consuming: count, of: service)
        for step in steps {
            switch step {
            case .head: break
            case .switched: return switched(service)
            case .ended: return ended(service)
            }
        }
    }

    private func write(_ out: [ByteBuffer], consuming count: Int, of service: ServiceStream) {
        guard let context = visitor.context, !out.isEmpty else { return service.consume(count) }
        let promise = visitor.written { service.consume(count) }
        let total = out.reduce(0) { $0 + $1.readableBytes }
        bytesOut += total
        tunnel.count(bytesIn: 0, bytesOut: total)
        for (index, bytes) in out.enumerated() {
            context.write(visitor.wrapOutboundOut(bytes), promise: index == out.count - 1 ? promise : nil)
        }
        context.flush()
    }

    private func switched(_ service: ServiceStream) {
        visitor.keep(permit.moved())
        finish { visitor.splice(service) }
    }

    private func ended(_ service: ServiceStream) {
        let isClean = request.isEnded && !response.hasRest && !service.isFinished && response.keepsService
        // An authenticated connection stays with its visitor, even if the last response no longer says so.
        service.isBound = service.isBound || response.isBound || head.signsConnectionIn
        if isClean && service.isBound {
            service.user = nil
            service.wasUsed = true
            visitor.bound = service
        } else {
            service.release(isClean ? .keep : .end)
        }
        finish { visitor.exchangeEnded(keeps: response.keepsVisitor && request.isEnded) }
    }

    func serviceFinished() {
        guard !isOver, let service else { return }
        var out: [ByteBuffer] = []
        guard response.hasHead, response.finish(into: &out) else { return serviceFailed(.reset(.broken)) }
        write(out, consuming: 0, of: service)
        ended(service)
    }

    func serviceFailed(_ failure: ServiceFailure) {
        guard !isOver else { return }
        if response.hasHead {
            tunnel.metrics.truncated.add()
            service?.end(.cancelled)
            return finish { visitor.abort() }
        }
        if case .rejected(let reason) = failure {
            tunnel.metrics.servicesRefused.add()
            return answer(reason.code == "busy" ? .busy : .refused)
        }
        if case .reset(.stopped) = failure { return answer(.ended) }
        if case .reset(.gone) = failure { return answer(.ended) }
        if tryAgain() { return }
        answer(.broken)
    }

    /// A service may close an idle connection at any time, also while a request is on its way to it.
    private func tryAgain() -> Bool {
        guard let service, service.wasUsed, !isSecondTry, let again = sent else { return false }
        service.end(.cancelled)
        isSecondTry = true
        tunnel.metrics.retried.add()
        guard connect(fresh: true) else { return true }
        response = ResponseForwarding(to: head, host: host, edits: edits)
        self.service?.write(again)
        visitor.readOn()
        return true
    }

    func serviceWritable() { visitor.readOn() }
}

extension RequestHead {
    /// RFC 7617.
    fileprivate var sendsPassword: Bool { block[.authorization]?.lowercased().hasPrefix("basic") ?? false }

    /// The credentials apply to the connection (RFC 4559, and NTLM in a similar way).
    fileprivate var signsConnectionIn: Bool {
        guard let text = block[.authorization]?.lowercased() else { return false }
        return text.hasPrefix("ntlm") || text.hasPrefix("negotiate")
    }
}
